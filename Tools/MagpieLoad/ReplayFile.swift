import Bytes
import Foundation
import Platform

/// The messages of a replay file, by conversation.
///
/// A line is a JSON object {conversation, sender, timeMs, text}; the first two may be text or
/// numbers. Within a conversation the order is that of the lines. Blank lines are skipped.
struct ReplayFile: Sendable {
    /// One message.
    struct Line: Sendable {
        /// Index into ``ReplayFile/senders``.
        let sender: Int
        let text: String
    }

    /// One conversation's messages, in order.
    struct Conversation: Sendable {
        let name: String
        var lines: [Line] = []
        /// Its senders, by first message.
        var members: [Int] = []
    }

    /// By first message.
    var conversations: [Conversation] = []
    /// Everyone who sends, by first message.
    var senders: [String] = []
    /// Messages in all.
    var messageCount = 0
    /// Hash of the whole file.
    var contentHash: UInt64 = 0

    private struct WrittenLine: Decodable {
        let conversation: Name
        let sender: Name
        let text: String
    }

    /// Text, or a number as it is written.
    private struct Name: Decodable {
        let text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self.text = text
            } else {
                text = String(try container.decode(Int64.self))
            }
        }
    }

    /// Reads the file. Throws ``LoadFailure`` with the line at fault.
    init(path: String) throws {
        let bytes = try Self.read(path)
        contentHash = Checksum.xxh3(bytes)
        let decoder = JSONDecoder()
        var conversationIndex: [String: Int] = [:]
        var senderIndex: [String: Int] = [:]
        var isMember: [Set<Int>] = []
        var number = 0
        for part in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
            number += 1
            let isBlank = part.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }
            if isBlank { continue }
            let line: WrittenLine
            do {
                line = try decoder.decode(WrittenLine.self, from: Data(part))
            } catch {
                throw LoadFailure(
                    "\(path): line \(number) is not {conversation, sender, timeMs, text}")
            }
            let sender = Self.index(of: line.sender.text, &senderIndex, &senders)
            let conversation: Int
            if let known = conversationIndex[line.conversation.text] {
                conversation = known
            } else {
                conversation = conversations.count
                conversationIndex[line.conversation.text] = conversation
                conversations.append(Conversation(name: line.conversation.text))
                isMember.append([])
            }
            conversations[conversation].lines.append(Line(sender: sender, text: line.text))
            if isMember[conversation].insert(sender).inserted {
                conversations[conversation].members.append(sender)
            }
            messageCount += 1
        }
        guard messageCount > 0 else { throw LoadFailure("\(path): no messages") }
    }

    private static func index(
        of name: String, _ known: inout [String: Int], _ all: inout [String]
    ) -> Int {
        if let index = known[name] { return index }
        known[name] = all.count
        all.append(name)
        return all.count - 1
    }

    private static func read(_ path: String) throws -> [UInt8] {
        do {
            let file = try LinuxFileSystem().open(path, .read)
            defer { file.close() }
            let size = Int(try file.size())
            var bytes = [UInt8](repeating: 0, count: size)
            var offset = 0
            while offset < size {
                let start = offset
                let count = try bytes.withUnsafeMutableBytes { buffer throws(DiskError) -> Int in
                    try file.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]),
                        at: UInt64(start))
                }
                guard count > 0 else { break }
                offset += count
            }
            bytes.removeSubrange(offset...)
            return bytes
        } catch {
            throw LoadFailure("\(error)")
        }
    }
}

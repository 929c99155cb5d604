import Bytes
import Foundation

/// Messages to be found, in the order in which they were said.
struct SearchCorpus {
    struct Message {
        var conversation: Int
        var sender: Int
        var timeMs: UInt64
        /// Number in ``SearchCorpus/texts``.
        var text: Int
    }

    /// Where they come from, for the results.
    private(set) var source: String
    /// What is said; of recomposed messages many say the same.
    let texts: [String]
    private(set) var messages: [Message]

    private struct Line: Decodable {
        let conversation: String
        let sender: String
        let timeMs: UInt64
        let text: String
    }

    /// The messages of a file of JSON lines with conversation, sender, timeMs and text.
    ///
    /// - Throws: ``UsageError`` when it cannot be read or has another form.
    init(file path: String) throws {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw UsageError("cannot read \(path)")
        }
        var conversations: [String: Int] = [:]
        var senders: [String: Int] = [:]
        var texts: [String] = []
        messages = []
        let decoder = JSONDecoder()
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let line = try? decoder.decode(Line.self, from: line) else {
                throw UsageError(
                    "\(path): a line is no object with conversation, sender, timeMs and text")
            }
            messages.append(
                Message(
                    conversation: Self.number(line.conversation, &conversations),
                    sender: Self.number(line.sender, &senders), timeMs: line.timeMs,
                    text: texts.count))
            texts.append(line.text)
        }
        self.texts = texts
        guard !messages.isEmpty else { throw UsageError("\(path) holds no messages") }
        source = path.split(separator: "/").last.map(String.init) ?? path
    }

    private static func number(_ name: String, _ numbers: inout [String: Int]) -> Int {
        let number = numbers[name] ?? numbers.count
        numbers[name] = number
        return number
    }

    /// Given messages.
    init(source: String, texts: [String], messages: [Message]) {
        self.source = source
        self.texts = texts
        self.messages = messages
    }

    /// Made-up messages: words with a Zipf law, about 36 messages a conversation.
    init(synthetic count: Int, seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let vocabulary = 40_000
        let ranks = ZipfNumbers(count: vocabulary, seed: seed)
        let spellings = (0..<vocabulary).map { Self.spelling($0) }
        texts = (0..<min(count, 200_000)).map { _ in
            // The least of two draws: a median of about 7, few above 20.
            let words = 1 + Int(min(generator.next() % 24, generator.next() % 24))
            return (0..<words).map { _ in spellings[ranks.next(&generator)] }
                .joined(separator: " ")
        }
        messages = Self.compose(texts: texts.count, count: count, seed: seed)
        source = "SYNTHETIC words"
    }

    /// A word for each number: syllables, so that words share beginnings.
    private static func spelling(_ number: Int) -> String {
        let consonants = Array("bcdfghklmnprstvw")
        let vowels = Array("aeiou")
        var rest = number
        var text = ""
        repeat {
            text.append(consonants[rest % consonants.count])
            rest /= consonants.count
            text.append(vowels[rest % vowels.count])
            rest /= vowels.count
        } while rest > 0
        return text
    }

    /// Another corpus of `count` messages: these texts, drawn by seed, in new conversations.
    func recomposed(_ count: Int, seed: UInt64) -> SearchCorpus {
        var corpus = self
        corpus.messages = Self.compose(texts: texts.count, count: count, seed: seed)
        corpus.source = "SYNTHETIC: \(source) recomposed"
        return corpus
    }

    /// Conversations with sizes that fall with their rank (Zipf 0.99), two to nine senders each,
    /// one message about every second.
    private static func compose(texts: Int, count: Int, seed: UInt64) -> [Message] {
        var generator = SplitMix64(seed: seed)
        let conversations = ZipfNumbers(count: max(1, count / 36), seed: seed)
        let senders = UInt64(max(2, count / 200))
        var time: UInt64 = 1_600_000_000_000
        return (0..<count).map { _ in
            let conversation = conversations.next(&generator)
            let salt = UInt64(conversation) &* 16
            let place = generator.next() % (2 + SplitMix64.mix(salt) % 8)
            time += generator.next() % 2 * 1_000
            return Message(
                conversation: conversation,
                sender: Int(SplitMix64.mix(salt &+ 1 &+ place) % senders), timeMs: time,
                text: Int(generator.next() % UInt64(texts)))
        }
    }
}

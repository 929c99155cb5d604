import Bytes
import Simulation

@testable import SearchIndex

/// What a store should hold.
struct StoreModel: Equatable {
    var messages: [DocumentKey: Message] = [:]
    var cursor: [UInt8] = []

    var sorted: [Message] { messages.values.sorted { $0.key < $1.key } }
}

/// Random commits, with edits and removals, on a store and on its model.
struct StoreScript {
    var maker: MessageMaker
    var model = StoreModel()
    private var commits: UInt64 = 0
    /// A message's time stays, whatever becomes of it.
    private var times: [DocumentKey: UInt64] = [:]

    init(seed: UInt64) { maker = MessageMaker(seed: seed) }

    /// The next commit's content; the model has it already.
    mutating func commit(_ size: Int) -> (builder: SegmentBuilder, cursor: [UInt8]) {
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        for _ in 0..<size {
            let known = maker.below(3) == 0 ? model.sorted : []
            if !known.isEmpty, maker.below(2) == 0 {
                let key = known[maker.below(known.count)].key
                builder.remove(key)
                model.messages[key] = nil
            } else {
                let key = known.isEmpty ? maker.key() : known[maker.below(known.count)].key
                var message = maker.message(key)
                message.document.time = times[key] ?? message.document.time
                times[key] = message.document.time
                builder.put(message)
                model.messages[key] = message
            }
        }
        commits += 1
        model.cursor = [UInt8](Hex.encode([UInt8(truncatingIfNeeded: commits)]).utf8)
        return (builder, model.cursor)
    }
}

extension SearchSnapshot {
    /// All segments, opened.
    func parts() throws -> [Part] { try entries.map { try $0.open() } }

    /// All living messages, by key.
    func messages() throws -> [Message] {
        var all: [Message] = []
        for part in try parts() {
            let messages = try part.reader.messages()
            for (index, message) in messages.enumerated() where !part.dead.contains(UInt32(index)) {
                all.append(message)
            }
        }
        return all.sorted { $0.key < $1.key }
    }
}

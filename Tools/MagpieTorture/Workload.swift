import Bytes
import LSMTree

/// What is written: a batch is a pure function of the seed and its number, so that the process that
/// writes and the one that judges need not tell each other more than numbers.
struct Workload: Sendable {
    static let rows = Keyspace(rawValue: 1)
    static let heads = Keyspace(rawValue: 2)
    static let expiring = Keyspace(rawValue: 3)
    /// Written to once in a while: it must not hold back the log.
    static let idle = Keyspace(rawValue: 4)
    static let keyspaces = [
        KeyspaceOptions(rows, name: "rows", filterPrefixLength: 2, isNumbered: true),
        KeyspaceOptions(heads, name: "heads"),
        KeyspaceOptions(expiring, name: "expiring", isExpiring: true),
        KeyspaceOptions(idle, name: "idle"),
    ]
    /// The row in which each batch leaves its number, in all keyspaces but the idle one.
    static let marker: [UInt8] = [0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0]
    private static let idleInterval: UInt64 = 400

    let seed: UInt64

    /// The rows of a batch. Numbers are the time by which rows expire.
    func batch(_ number: UInt64) -> WriteBatch {
        var generator = SplitMix64(seed: SplitMix64.mix(seed) ^ number)
        var batch = WriteBatch()
        for _ in 0..<(1 + generator.next() % 6) {
            let keyspace = Self.keyspaces[Int(generator.next() % 3)].keyspace
            switch generator.next() % 16 {
            case 0..<11:
                batch.put(
                    keyspace, key: Self.key(keyspace, &generator),
                    value: Self.value(keyspace, number, &generator))
            case 11..<14: batch.delete(keyspace, key: Self.key(keyspace, &generator))
            default: Self.deleteRange(keyspace, &batch, &generator)
            }
        }
        if number % Self.idleInterval == 1 {
            let key = [UInt8(truncatingIfNeeded: number / Self.idleInterval % 8)]
            batch.put(Self.idle, key: key, value: Self.bytes(number))
        }
        for options in Self.keyspaces where options.keyspace != Self.idle {
            let never = options.isExpiring ? Self.bytes(0) : []
            batch.put(options.keyspace, key: Self.marker, value: never + Self.bytes(number))
        }
        return batch
    }

    /// Keys that batches write to, some of which no batch ever wrote.
    static func sampleKeys(_ keyspace: Keyspace, _ generator: inout SplitMix64) -> [[UInt8]] {
        (0..<100).map { _ in key(keyspace, &generator) }
    }

    /// The number in a marker's value.
    static func number(_ value: [UInt8]) -> UInt64 {
        value.suffix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// True for a value of the expiring keyspace that may be gone.
    static func isExpired(_ value: [UInt8], _ horizon: UInt64) -> Bool {
        let expiry = number(Array(value.prefix(8)))
        return expiry > 0 && expiry <= horizon
    }

    static func bytes(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { [UInt8]($0) }
    }

    private static func key(_ keyspace: Keyspace, _ generator: inout SplitMix64) -> [UInt8] {
        switch keyspace {
        case rows:
            // Not all keys of a numbered keyspace need be numbered.
            if generator.next() % 20 == 0 { return prefix(&generator) }
            return numbered(prefix(&generator), generator.next() % 40)
        case expiring: return [UInt8(generator.next() % 16), UInt8(generator.next() % 12)]
        default:
            return (0..<(1 + generator.next() % 3)).map { _ in UInt8(generator.next() % 6) }
        }
    }

    private static func prefix(_ generator: inout SplitMix64) -> [UInt8] {
        [UInt8(generator.next() % 4), UInt8(generator.next() % 3)]
    }

    private static func numbered(_ prefix: [UInt8], _ number: UInt64) -> [UInt8] {
        prefix + withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
    }

    private static func value(
        _ keyspace: Keyspace, _ number: UInt64, _ generator: inout SplitMix64
    ) -> [UInt8] {
        var value: [UInt8] = []
        if keyspace == expiring {
            value = bytes(generator.next() % 4 == 0 ? 0 : number + 1 + generator.next() % 1500)
        }
        value += bytes(number)
        let length = generator.next() % (generator.next() % 40 == 0 ? 4000 : 60)
        let isDull = generator.next() % 2 == 0
        for index in 0..<length {
            value.append(UInt8(truncatingIfNeeded: isDull ? index & 7 : generator.next()))
        }
        return value
    }

    private static func deleteRange(
        _ keyspace: Keyspace, _ batch: inout WriteBatch, _ generator: inout SplitMix64
    ) {
        if keyspace == rows, generator.next() % 2 == 0 {
            // As an owner that keeps only the newest rows of a prefix does, again and again.
            let prefix = prefix(&generator)
            return batch.deleteRange(
                keyspace, from: numbered(prefix, 0), to: numbered(prefix, generator.next() % 40))
        }
        batch.deleteRange(
            keyspace, from: key(keyspace, &generator), to: key(keyspace, &generator))
    }
}

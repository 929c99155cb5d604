import Bytes
import Platform
import Simulation

@testable import LSMTree

/// One operation of a metamorphic list. It carries all that it needs, so a list from which some
/// were removed is a list again: an operation on a slot that is empty does nothing.
enum MetaOperation {
    /// Where a read looks.
    struct Place {
        /// A snapshot's slot; nil: the tree as it is.
        var view: Int?
        var keyspace: Int
        var lower: [UInt8]
        var upper: [UInt8]?
    }

    enum Move {
        case first, last, next, previous
        case seek([UInt8])
        case seekForPrevious([UInt8])
    }

    case batch(WriteBatch)
    case get(view: Int?, keyspace: Int, key: [UInt8])
    case scan(Place, isReversed: Bool, limit: Int)
    case page(Place, bytesMax: Int)
    case takeSnapshot(Int)
    case dropSnapshot(Int)
    case openCursor(Int, Place)
    case moveCursor(Int, [Move])
    case openIngest(Int, ranges: [KeyRange], rows: Model, chunkBytes: Int)
    case installIngest(Int)
    case abandonIngest(Int)
    case cut
    case steps(Int)
    case settle
    case compact(keyspace: Int, lower: [UInt8], upper: [UInt8]?)
    case raiseHorizon(UInt64)
    case restart(isFlushing: Bool)
    /// Power goes `ahead` changes of the disk later, while the batches are applied, or behind them.
    /// With `again` it goes once more during the start.
    case crash(
        ahead: Int, moment: CrashPlan.Moment, seed: UInt64, again: Int?, batches: [WriteBatch])
}

/// What a reader saw.
enum MetaObservation: Equatable {
    case nothing
    case value([UInt8]?)
    case rows([Row])
    case moves([Row?])
}

// MARK: Making a list

extension MetaOperation {
    static let slots = 3

    /// A list of `count` operations.
    static func list(seed: UInt64, count: Int) -> [MetaOperation] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in make(&generator) }
    }

    private static func make(_ generator: inout SplitMix64) -> MetaOperation {
        let slot = Int(generator.next() % UInt64(slots))
        switch generator.next() % 100 {
        case 0..<34: return .batch(Harness.batch(&generator))
        case 34..<43:
            let view = view(&generator)
            return .get(
                view: view, keyspace: Int(generator.next() % 3), key: Harness.key(&generator))
        case 43..<51:
            let limit = generator.next() % 3 == 0 ? Int(generator.next() % 8) : Int.max
            return .scan(
                place(&generator), isReversed: generator.next() % 2 == 0, limit: limit)
        case 51..<54:
            return .page(place(&generator), bytesMax: 1 << Int(generator.next() % 12))
        case 54..<59: return .takeSnapshot(slot)
        case 59: return .dropSnapshot(slot)
        case 60..<65: return .openCursor(slot, place(&generator))
        case 65..<75: return .moveCursor(slot, moves(&generator))
        case 75..<87: return background(&generator)
        case 87..<89: return .raiseHorizon(generator.next() % 150)
        case 89..<92:
            let ranges = Harness.ranges(&generator)
            let rows = Harness.rows(in: ranges, &generator)
            return .openIngest(
                slot, ranges: ranges, rows: rows, chunkBytes: 16 << Int(generator.next() % 9))
        case 92..<95: return .installIngest(slot)
        case 95: return .abandonIngest(slot)
        case 96: return .restart(isFlushing: generator.next() % 2 == 0)
        default: return generator.next() % 2 == 0 ? .steps(3) : crash(&generator)
        }
    }

    private static func background(_ generator: inout SplitMix64) -> MetaOperation {
        switch generator.next() % 6 {
        case 0: return .cut
        case 1: return .settle
        case 2:
            let upper = generator.next() % 2 == 0 ? nil : Harness.key(&generator)
            return .compact(
                keyspace: Int(generator.next() % 3), lower: Harness.key(&generator), upper: upper)
        default: return .steps(Int(generator.next() % 8))
        }
    }

    private static func crash(_ generator: inout SplitMix64) -> MetaOperation {
        let moments = CrashPlan.Moment.allCases
        let batches = (0..<(generator.next() % 12)).map { _ in Harness.batch(&generator) }
        return .crash(
            ahead: Int(generator.next() % 60), moment: moments[Int(generator.next() % 3)],
            seed: generator.next(),
            again: generator.next() % 2 == 0 ? Int(generator.next() % 12) : nil, batches: batches)
    }

    private static func view(_ generator: inout SplitMix64) -> Int? {
        generator.next() % 3 != 0 ? nil : Int(generator.next() % UInt64(slots))
    }

    private static func place(_ generator: inout SplitMix64) -> Place {
        var place = Place(
            view: view(&generator), keyspace: Int(generator.next() % 3), lower: [], upper: nil)
        if generator.next() % 2 == 0 { place.lower = Harness.key(&generator) }
        if generator.next() % 2 == 0 { place.upper = Harness.key(&generator) }
        // Often inside one prefix, so that the filter of prefixes is asked.
        if generator.next() % 4 == 0, place.lower.count >= 2 {
            place.upper = OrderedKey.successor(ofPrefix: Array(place.lower[..<2]))
        }
        return place
    }

    private static func moves(_ generator: inout SplitMix64) -> [Move] {
        (0..<(1 + generator.next() % 10)).map { _ in
            switch generator.next() % 12 {
            case 0: .first
            case 1: .last
            case 2, 3: .seek(Harness.key(&generator))
            case 4: .seekForPrevious(Harness.key(&generator))
            case 5..<9: .next
            default: .previous
            }
        }
    }
}

// MARK: Saying what it is

extension MetaOperation: CustomStringConvertible {
    var description: String {
        switch self {
        case .batch(let batch): "batch \(Self.text(batch))"
        case .get(let view, let keyspace, let key):
            "get \(Self.text(view)) keyspace \(keyspace) \(Hex.encode(key))"
        case .scan(let place, let isReversed, let limit):
            "scan \(place)\(isReversed ? " reversed" : "")"
                + (limit == Int.max ? "" : " limit \(limit)")
        case .page(let place, let bytesMax): "page \(place) by \(bytesMax) bytes"
        case .takeSnapshot(let slot): "snapshot \(slot)"
        case .dropSnapshot(let slot): "drop snapshot \(slot)"
        case .openCursor(let slot, let place): "cursor \(slot) \(place)"
        case .moveCursor(let slot, let moves): "move \(slot) \(moves)"
        case .openIngest(let slot, let ranges, let rows, let chunkBytes):
            "ingest \(slot) \(Self.text(ranges)) rows \(rows.rows.map(\.count))"
                + " by \(chunkBytes) bytes"
        case .installIngest(let slot): "install \(slot)"
        case .abandonIngest(let slot): "abandon \(slot)"
        case .cut: "cut"
        case .steps(let count): "steps \(count)"
        case .settle: "settle"
        case .compact(let keyspace, let lower, let upper):
            "compact keyspace \(keyspace) \(Self.text(lower, upper))"
        case .raiseHorizon(let step): "horizon + \(step)"
        case .restart(let isFlushing): "restart\(isFlushing ? " flushing" : "")"
        case .crash(let ahead, let moment, let seed, let again, let batches):
            "crash \(ahead) ahead, \(moment), seed \(seed), again \(again.map(String.init) ?? "-")"
                + batches.map { "\n    " + Self.text($0) }.joined()
        }
    }

    private static func text(_ view: Int?) -> String { view.map { "snapshot \($0)" } ?? "now" }

    private static func text(_ ranges: [KeyRange]) -> String {
        ranges.map { text($0.lower, $0.upper) }.joined(separator: " ")
    }

    fileprivate static func text(_ lower: [UInt8], _ upper: [UInt8]?) -> String {
        "[\(Hex.encode(lower)), \(upper.map { Hex.encode($0) } ?? "end"))"
    }

    private static func text(_ batch: WriteBatch) -> String {
        var parts: [String] = []
        batch.forEach { row in
            let key = Hex.encode([UInt8](row.key))
            let place = row.keyspace.rawValue - 1
            switch row.kind {
            case .put: parts.append("\(place):\(key)=\(row.value.count) bytes")
            case .delete: parts.append("\(place):-\(key)")
            case .rangeDelete:
                parts.append("\(place):-[\(key), \(Hex.encode([UInt8](row.value))))")
            }
        }
        return parts.joined(separator: "  ")
    }
}

extension MetaOperation.Place: CustomStringConvertible {
    var description: String {
        "\(view.map { "snapshot \($0)" } ?? "now") keyspace \(keyspace) "
            + MetaOperation.text(lower, upper)
    }
}

extension MetaOperation.Move: CustomStringConvertible {
    var description: String {
        switch self {
        case .first: "first"
        case .last: "last"
        case .next: "next"
        case .previous: "previous"
        case .seek(let key): "seek \(Hex.encode(key))"
        case .seekForPrevious(let key): "seekForPrevious \(Hex.encode(key))"
        }
    }
}

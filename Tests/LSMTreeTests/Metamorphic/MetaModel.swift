import Bytes

@testable import LSMTree

/// Carries out a metamorphic list on dictionaries: what every tree must show.
struct MetaModel {
    private struct Cursor {
        let place: MetaOperation.Place
        let model: Model
        var key: [UInt8]?
    }

    private struct Ingest {
        let ranges: [KeyRange]
        let rows: Model
    }

    private var model = Model(3)
    private var snapshots: [Model?] = Array(repeating: nil, count: MetaOperation.slots)
    private var cursors: [Cursor?] = Array(repeating: nil, count: MetaOperation.slots)
    private var ingests: [Ingest?] = Array(repeating: nil, count: MetaOperation.slots)
    private var horizon: UInt64 = 0

    /// What each operation of a list shows.
    static func observe(_ list: [MetaOperation]) -> [MetaObservation] {
        var model = MetaModel()
        return list.map { model.perform($0) }
    }

    mutating func perform(_ operation: MetaOperation) -> MetaObservation {
        switch operation {
        case .batch(let batch): model.apply(batch)
        case .get(let view, let keyspace, let key):
            guard let seen = seen(view) else { return .nothing }
            let isExpired =
                keyspace == Harness.expiringPlace
                && (seen.rows[keyspace][key].map { Row(key: key, value: $0).isExpired(horizon) }
                    ?? false)
            return .value(isExpired ? nil : seen.rows[keyspace][key])
        case .scan(let place, let isReversed, let limit):
            guard let seen = seen(place.view) else { return .nothing }
            let rows = rows(seen, place)
            return .rows(Array((isReversed ? rows.reversed() : rows).prefix(limit)))
        case .page(let place, _):
            guard let seen = seen(place.view) else { return .nothing }
            return .rows(rows(seen, place))
        case .takeSnapshot(let slot): snapshots[slot] = model
        case .dropSnapshot(let slot): snapshots[slot] = nil
        case .openCursor(let slot, let place):
            cursors[slot] = seen(place.view).map { Cursor(place: place, model: $0) }
        case .moveCursor(let slot, let moves): return move(slot, moves)
        case .openIngest(let slot, let ranges, let rows, _):
            if ingests.allSatisfy({ $0 == nil }) {
                ingests[slot] = Ingest(ranges: ranges, rows: rows)
            }
        case .installIngest(let slot):
            if let ingest = ingests[slot] { model.replace(ingest.ranges, with: ingest.rows) }
            ingests[slot] = nil
        case .abandonIngest(let slot): ingests[slot] = nil
        case .cut, .steps, .settle, .compact: break
        case .raiseHorizon(let step): horizon += step
        case .restart: forgetSlots()
        case .crash(_, _, _, _, let batches):
            for batch in batches { model.apply(batch) }
            forgetSlots()
        }
        return .nothing
    }

    private mutating func forgetSlots() {
        for slot in 0..<MetaOperation.slots {
            snapshots[slot] = nil
            cursors[slot] = nil
            ingests[slot] = nil
        }
    }

    private func seen(_ view: Int?) -> Model? {
        guard let view else { return model }
        return snapshots[view]
    }

    private func rows(_ model: Model, _ place: MetaOperation.Place) -> [Row] {
        model.sorted(
            place.keyspace, lower: place.lower, upper: place.upper, horizon: horizon)
    }

    private mutating func move(_ slot: Int, _ moves: [MetaOperation.Move]) -> MetaObservation {
        guard var cursor = cursors[slot] else { return .nothing }
        let rows = rows(cursor.model, cursor.place)
        var seen: [Row?] = []
        for move in moves {
            let row: Row? =
                switch move {
                case .first: rows.first
                case .last: rows.last
                case .seek(let key): rows.first { !$0.key.lexicographicallyPrecedes(key) }
                case .seekForPrevious(let key):
                    rows.last { !key.lexicographicallyPrecedes($0.key) }
                case .next:
                    cursor.key.flatMap { key in
                        rows.first { key.lexicographicallyPrecedes($0.key) }
                    }
                case .previous:
                    cursor.key.flatMap { key in
                        rows.last { $0.key.lexicographicallyPrecedes(key) }
                    }
                }
            cursor.key = row?.key
            seen.append(row)
        }
        cursors[slot] = cursor
        return .moves(seen)
    }
}

import LSMTree
import Testing

@testable import MagpieTorture

/// The judge is judged by histories made by hand.
@Suite struct OracleTests {
    /// Batch n puts row n, batch 10 deletes rows 1 to 3 by a range, batch 11 row 4; all of them in
    /// two keyspaces.
    private static func batch(_ number: UInt64) -> WriteBatch {
        var batch = WriteBatch()
        for keyspace in [Workload.rows, Workload.heads] {
            switch number {
            case 10: batch.deleteRange(keyspace, from: [1], to: [4])
            case 11: batch.delete(keyspace, key: [4])
            default: batch.put(keyspace, key: [UInt8(number)], value: [7])
            }
            batch.put(keyspace, key: Workload.marker, value: Workload.bytes(number))
        }
        return batch
    }

    private static func oracle(acknowledged: UInt64, submitted: UInt64) -> Oracle {
        var oracle = Oracle { batch($0) }
        for number in 1...submitted { oracle.submitted(number) }
        #expect(oracle.acknowledged(acknowledged) == Int(acknowledged))
        return oracle
    }

    private static func state(_ numbers: some Sequence<UInt64>) -> RowModel {
        var model = RowModel()
        for number in numbers { model.apply(batch(number)) }
        return model
    }

    @Test("a prefix with all that was acknowledged is right, up to all that was submitted")
    func prefixes() {
        let oracle = Self.oracle(acknowledged: 9, submitted: 12)
        for last in 9...12 as ClosedRange<UInt64> {
            #expect(oracle.judge(Self.state(1...last)) == .prefix(Int(last)))
        }
        #expect(Oracle { Self.batch($0) }.judge(RowModel()) == .prefix(0))
    }

    @Test("a missing acknowledged batch is seen, at the end and in the middle")
    func lost() {
        let oracle = Self.oracle(acknowledged: 9, submitted: 12)
        #expect(oracle.judge(Self.state(1...7)) == .lost(2))
        #expect(oracle.judge(RowModel()) == .lost(9))
        let hole = oracle.judge(Self.state([1, 2, 3, 4, 6, 7, 8, 9]))
        guard case .wrong(let what) = hole else {
            Issue.record("\(hole)")
            return
        }
        #expect(
            what == "after batch 9: rows: 1 rows missing [\"05\"], 0 that should be gone [], "
                + "0 with another value []")
    }

    @Test("half a batch, a row that came back, another value and a stranger are seen")
    func wrong() {
        let oracle = Self.oracle(acknowledged: 12, submitted: 12)
        let right = Self.state(1...12)
        var half = right
        half.rows[1][[12]] = nil
        var back = right
        back.rows[0][[2]] = [7]
        var other = right
        other.rows[0][[5]] = [8]
        var stranger = right
        stranger.rows[3][[1]] = [1]
        for found in [half, back, other, stranger] {
            guard case .wrong = oracle.judge(found) else {
                Issue.record("\(found) was not seen")
                continue
            }
        }
        #expect(oracle.judge(right) == .prefix(12))
    }

    @Test("a batch that was not recovered once may not come back later")
    func comesBack() {
        var oracle = Self.oracle(acknowledged: 5, submitted: 8)
        oracle.adopt(6)
        oracle.submitted(9)
        #expect(oracle.judge(Self.state([1, 2, 3, 4, 5, 6, 9])) == .prefix(7))
        #expect(oracle.judge(Self.state([1, 2, 3, 4, 5])) == .lost(1), "shown is promised")
        guard case .wrong = oracle.judge(Self.state([1, 2, 3, 4, 5, 6, 7])) else {
            Issue.record("batch 7 came back")
            return
        }
    }

    @Test("an acknowledgement of what was never submitted is seen")
    func neverSubmitted() {
        var oracle = Self.oracle(acknowledged: 5, submitted: 8)
        #expect(oracle.acknowledged(9) == nil)
        #expect(oracle.acknowledged(8) == 3)
    }

    @Test("an expired row may be there or not; what it hid may not come back")
    func expiry() {
        @Sendable func batch(_ number: UInt64) -> WriteBatch {
            var batch = WriteBatch()
            let expiry = number == 2 ? 3 : UInt64(0)
            batch.put(Workload.expiring, key: [1], value: Workload.bytes(expiry) + [UInt8(number)])
            batch.put(Workload.rows, key: Workload.marker, value: Workload.bytes(number))
            if number > 2 { batch.delete(Workload.heads, key: [1]) }
            return batch
        }
        var oracle = Oracle { $0 > 2 ? Self.batch($0) : batch($0) }
        for number in 1...4 as ClosedRange<UInt64> { oracle.submitted(number) }
        #expect(oracle.acknowledged(4) == 4)
        var model = RowModel()
        for number in 1...2 as ClosedRange<UInt64> { model.apply(batch(number)) }
        for number in 3...4 as ClosedRange<UInt64> { model.apply(Self.batch(number)) }
        #expect(oracle.judge(model) == .prefix(4))
        model.rows[2][[1]] = nil
        #expect(oracle.judge(model) == .prefix(4))
        model.rows[2][[1]] = Workload.bytes(0) + [1]
        guard case .wrong = oracle.judge(model) else {
            Issue.record("the older row came back")
            return
        }
    }

    @Test("what was settled long ago is still part of the state")
    func memory() {
        var oracle = Oracle { number in
            var batch = WriteBatch()
            batch.put(Workload.heads, key: [UInt8(number % 200)], value: Workload.bytes(number))
            batch.put(Workload.rows, key: Workload.marker, value: Workload.bytes(number))
            return batch
        }
        let workload = oracle
        for number in 1...3000 as ClosedRange<UInt64> {
            oracle.submitted(number)
            #expect(oracle.acknowledged(number) == 1)
        }
        var model = oracle.acknowledgedState
        #expect(model.rows[1].count == 200 && model.newest == 3000)
        guard case .prefix = oracle.judge(model) else {
            Issue.record("the whole state is right")
            return
        }
        model.rows[1][[7]] = nil
        guard case .wrong = oracle.judge(model) else {
            Issue.record("a settled row is missing")
            return
        }
        #expect(workload.judge(RowModel()) == .prefix(0))
    }

    @Test("each lie changes what is written")
    func lies() {
        let batch = Workload(seed: 1).batch(97)
        #expect(Lie.drop.change(batch, 97).isEmpty)
        #expect(Lie.drop.change(batch, 98).count == batch.count)
        #expect(Lie.half.change(batch, 97).count < batch.count)
    }

    @Test("messages come through the pipe whole, and cut off ones not at all")
    func messages() throws {
        let rows: [(key: [UInt8], value: [UInt8])] = [([1], []), ([], [2, 3])]
        let bytes =
            Message.rows(.checkpoint, keyspace: 2, rows).encoded()
            + Message.refused("why").encoded() + Message.submitted(300).encoded()
        for length in 0..<bytes.count {
            var rest = bytes[..<length]
            var count = 0
            while let (_, size) = try Message.decode(rest) {
                rest = rest.dropFirst(size)
                count += 1
            }
            #expect(count < 3 && rest.count < bytes.count)
        }
        let first = try #require(try Message.decode(bytes[...]))
        guard case .rows(.checkpoint, 2, let back) = first.message else {
            Issue.record("\(first.message)")
            return
        }
        #expect(back.map(\.key) == rows.map(\.key) && back.map(\.value) == rows.map(\.value))
    }
}

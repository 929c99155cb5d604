import Bytes
import LSMTree
import Testing

@testable import MagpieTorture

@Suite struct WorkloadTests {
    @Test(
        "a batch follows from seed and number, and every kind of row comes in every busy keyspace")
    func kinds() {
        let workload = Workload(seed: 4)
        var seen: Set<String> = []
        for number in 1...3000 as ClosedRange<UInt64> {
            let batch = workload.batch(number)
            let again = Workload(seed: 4).batch(number)
            #expect(batch.withBytes { [UInt8]($0) } == again.withBytes { [UInt8]($0) })
            batch.forEach { seen.insert("\($0.keyspace.rawValue) \($0.kind)") }
        }
        for keyspace in 1...3 {
            for kind in ["put", "delete", "rangeDelete"] {
                #expect(seen.contains("\(keyspace) \(kind)"))
            }
        }
        #expect(seen.contains("4 put") && seen.count == 10)
        let other = Workload(seed: 5).batch(7).withBytes { [UInt8]($0) }
        #expect(workload.batch(7).withBytes { [UInt8]($0) } != other)
    }

    @Test("no range delete reaches the row that tells which batch came last")
    func marker() {
        let workload = Workload(seed: 9)
        var model = RowModel()
        for number in 1...2000 as ClosedRange<UInt64> {
            model.apply(workload.batch(number))
            #expect(model.newest == number)
        }
    }

    @Test("rows expire at their number and not before; 0 is never")
    func expiry() {
        #expect(Workload.isExpired(Workload.bytes(5) + [1], 5))
        #expect(!Workload.isExpired(Workload.bytes(6) + [1], 5))
        #expect(!Workload.isExpired(Workload.bytes(0) + [1], .max))
    }
}

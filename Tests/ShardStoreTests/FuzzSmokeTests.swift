import Bytes
import Foundation
import Fuzz
import Simulation
import Testing

/// Every parser of the storage engine, fed with its seeds and with what becomes of them by chance.
/// `Tools/fuzz` does the like for as long as one lets it, and looks where inputs lead.
@Suite struct FuzzSmokeTests {
    private static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

    @Test(
        "hostile bytes are read or refused, and what is read agrees with itself",
        arguments: FuzzTarget.allCases)
    func smoke(target: FuzzTarget) {
        let seeds = target.seeds
        var (accepted, refused) = (0, 0)
        for seed in seeds { count(target.run(seed), &accepted, &refused) }
        #expect(accepted > 0, "a seed of \(target) is sound")
        var mutator = FuzzMutator(seed: UInt64(target.rawValue))
        for _ in 0..<(Self.isLong ? 100_000 : 500) {
            count(target.run(mutator.next(seeds)), &accepted, &refused)
        }
        #expect(refused > 0, "\(target) refuses something")
        Trust.report(accepted + refused, "parser inputs")
    }

    private func count(
        _ outcome: FuzzTarget.Outcome, _ accepted: inout Int, _ refused: inout Int
    ) {
        switch outcome {
        case .accepted: accepted += 1
        case .refused: refused += 1
        }
    }
}

import ChatModel
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// A node's searches against a look at every page, whatever happens to the node.
@Suite("Searches against every page")
struct SearchModelTests {
    @Test(
        "Sends, edits, erasures, joins, leaves and restarts: what is found is what can be read",
        arguments: 1...6 as ClosedRange<UInt64>)
    func random(seed: UInt64) throws {
        let model = try SearchModel(seed: seed)
        let world = model.world
        for step in 0..<260 {
            for _ in 0..<model.number(6) { model.change() }
            if step % 2 == 0 { model.compare("step \(step)") }
            switch model.number(60) {
            case 0:
                world.incidents.change { $0 = [] }
                world.stop()
                #expect(world.boot(), "seed \(seed), step \(step)")
                model.compare("step \(step), started again")
                let isKept = !world.incidents.value.contains { $0.contains("made anew") }
                #expect(isKept, "seed \(seed), step \(step): \(world.incidents.value)")
            case 1:
                world.cutPower(seed: seed &+ UInt64(step))
                #expect(world.boot(), "seed \(seed), step \(step)")
            case 2: model.cut()
            // A cut of which the index does not hear before the power fails.
            case 5: world.node?.store.cut()
            case 3: model.compareCanaries("step \(step)")
            case 4: world.pass(.seconds(700))
            default: break
            }
            #expect(world.failure == nil, "seed \(seed), step \(step)")
        }
        model.compareCanaries("end")
        #expect(model.found > 150, "seed \(seed): \(model.found) in \(model.searches)")
        world.stop()
    }
}

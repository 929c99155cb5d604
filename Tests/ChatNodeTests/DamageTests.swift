import Bytes
import ChatEngine
import ChatModel
import Foundation
import Platform
import RaftCore
import Replication
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// What becomes of a node whose durable bytes can't be read.
@Suite("Damaged nodes")
struct DamageTests {
    private static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

    private func register(_ name: String, _ cluster: SimulatedCluster) throws -> Identity {
        let request = Registration(
            username: name, password: "a good password", displayName: nil, deviceName: "test")
        let answer = cluster.call(1) { $0.register(request, answer: $1) }
        guard case .success(let signedIn)? = answer else {
            throw StartFailure("nobody registers: \(String(describing: answer))")
        }
        return Identity(
            user: signedIn.user.id, device: signedIn.device, expiresAtMs: signedIn.expiresAtMs)
    }

    /// A cluster of three with some content; node 2 is off, its tables and log on the disk.
    private func cluster(seed: UInt64) throws -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: seed)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let ann = try register("ann", cluster)
        let bob = try register("bob", cluster)
        for number in 0..<30 {
            let cid = ClientMessageID(high: 0x8000, low: UInt64(number))
            if number == 15 {
                cluster.node(2)?.stop()
                cluster.kill(2)
                cluster.start(2)
                #expect(cluster.run { cluster.isReady(2) })
            }
            let text = String(repeating: "\(number) ", count: 40)
            let sent: Result<CommandResult, ServiceError>? = cluster.call(1) {
                $0.submit(
                    .send(.user(bob.user), cid: cid, content: .init(text: text)), by: ann,
                    answer: $1)
            }
            if case .success(.sent) = sent { continue }
            Issue.record("message \(number): \(String(describing: sent))")
        }
        cluster.pass(seconds: 2)
        // Afterwards everything on the disk is there for good.
        cluster.cutPower(2, seed: seed)
        return cluster
    }

    private func contents(_ disk: SimulatedFileSystem) -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for path in disk.paths { files[path] = disk.contents(path) ?? [] }
        return files
    }

    private func paths(_ disk: SimulatedFileSystem, _ part: String) -> [String] {
        disk.paths.filter { $0.contains(part) }
    }

    /// A place of the segment in use whose flip is rot: the start finds it.
    private func rot(_ cluster: SimulatedCluster) throws -> SimulatedFileSystem {
        let sound = cluster.disk(2)
        for path in sound.paths where path.hasSuffix(".log") {
            let bytes = sound.contents(path) ?? []
            for offset in stride(from: 40, to: bytes.count, by: 97) where bytes[offset] != 0 {
                let disk = sound.copy()
                disk.flipBit(path, offset: offset, bit: 2)
                cluster.replaceDisk(2, disk.copy())
                let before = cluster.superblock(2)?.incarnation
                let failure = cluster.open(2)
                let isFound = failure == nil && cluster.superblock(2)?.incarnation != before
                cluster.kill(2)
                if isFound {
                    cluster.replaceDisk(2, disk.copy())
                    return disk
                }
            }
        }
        throw StartFailure("no flip is found")
    }

    @Test("Rot in the log: the node sets it aside, is somebody else, and is let in again")
    func log() throws {
        let cluster = try cluster(seed: 21)
        let disk = try rot(cluster)
        let before = try #require(cluster.superblock(2))
        let damaged = paths(disk, "magpie/log/")
        let tables = paths(disk, "magpie/tree/").filter { $0.hasSuffix(".sst") }
        #expect(!tables.isEmpty, "the node stopped once, so there are tables")
        cluster.incidents.change { $0 = [] }
        cluster.start(2)
        #expect(cluster.run { cluster.isReady(2) }, "\(cluster.failure(2) ?? "")")
        let after = try #require(cluster.superblock(2))
        #expect(after.incarnation != before.incarnation && after.formation == before.formation)
        let aside = "magpie/damaged-\(String(before.incarnation, radix: 16))/log/"
        #expect(
            paths(cluster.disk(2), aside).map { $0.split(separator: "/").last }
                == damaged.map { $0.split(separator: "/").last })
        #expect(cluster.incidents.value.contains { $0.contains("damaged-") && $0.contains(".log") })
        for shard in 0...2 as ClosedRange<UInt32> { try expectMember(cluster, shard, after) }
    }

    @Test("A log that is gone took votes with it: the node is somebody else, and is let in again")
    func lostLog() throws {
        let cluster = try cluster(seed: 24)
        let before = try #require(cluster.superblock(2))
        let disk = cluster.disk(2).copy()
        for path in paths(disk, "magpie/log/") { try disk.unlink(path) }
        cluster.replaceDisk(2, disk)
        cluster.incidents.change { $0 = [] }
        cluster.start(2)
        #expect(cluster.run { cluster.isReady(2) }, "\(cluster.failure(2) ?? "")")
        let after = try #require(cluster.superblock(2))
        #expect(after.incarnation != before.incarnation && after.formation == before.formation)
        #expect(cluster.incidents.value.contains { $0.contains("found none") })
        for shard in 0...2 as ClosedRange<UInt32> { try expectMember(cluster, shard, after) }
    }

    /// The node is a voter of the shard under its new name only, with the rows of the others.
    private func expectMember(
        _ cluster: SimulatedCluster, _ shard: UInt32, _ block: Superblock
    ) throws {
        let name = ReplicaName.replica(of: shard, node: 2, incarnation: block.incarnation)
        let isLetIn = cluster.run {
            let voters = cluster.node(1)?.store.replicator.status(of: shard)?.configuration.voters
            return voters?.count == 3 && voters?.contains(name) == true
        }
        #expect(isLetIn, "shard \(shard)")
        let isEqual = cluster.run {
            let (own, other) = (
                cluster.node(2)?.store.position(of: shard),
                cluster.node(1)?.store.position(of: shard)
            )
            return own?.index == other?.index && own?.hash == other?.hash && own != nil
        }
        #expect(isEqual, "shard \(shard)")
    }

    @Test("A power cut at any operation of setting aside never brings the old self back")
    func powerCuts() throws {
        let cluster = try cluster(seed: 22)
        let disk = try rot(cluster)
        try cutEverywhere(cluster, disk)
    }

    @Test("A power cut while damaged tables are set aside leaves a node that is rebuilt")
    func powerCutsOfTables() throws {
        let cluster = try cluster(seed: 23)
        let disk = cluster.disk(2)
        let manifest = try #require(disk.paths.first { $0.hasSuffix(".manifest") })
        disk.flipBit(manifest, offset: 60, bit: 1)
        try cutEverywhere(cluster, disk)
    }

    @Test("So does one while tables are set aside whose damage the start found in a table")
    func powerCutsOfOneTable() throws {
        let cluster = try cluster(seed: 23)
        let sound = cluster.disk(2)
        let tables = sound.paths.filter { $0.hasSuffix(".sst") }
        try #require(tables.count > 2)
        for path in tables {
            let bytes = sound.contents(path) ?? []
            let disk = sound.copy()
            // The footer is read when the table is opened.
            disk.flipBit(path, offset: bytes.count - 20, bit: 1)
            cluster.replaceDisk(2, disk.copy())
            let before = cluster.superblock(2)?.incarnation
            #expect(cluster.open(2) == nil, "\(path)")
            let isFound = cluster.superblock(2)?.incarnation != before
            cluster.kill(2)
            if isFound { return try cutEverywhere(cluster, disk) }
        }
        Issue.record("no damage is found")
    }

    @Test("A node that found its tables damaged while it ran begins anew, also after power cuts")
    func rebuildMark() throws {
        let cluster = try cluster(seed: 24)
        let disk = cluster.disk(2)
        disk.setContents("/magpie/REBUILD", [])
        try cutEverywhere(cluster, disk)
    }

    /// Opens node 2 on copies of `disk`, with a power cut at each of its first operations.
    private func cutEverywhere(_ cluster: SimulatedCluster, _ disk: SimulatedFileSystem) throws {
        let files = contents(disk)
        let old = try #require(files["magpie/SUPERBLOCK"].flatMap { Superblock.decode($0) })
        let whole = disk.copy()
        cluster.replaceDisk(2, whole)
        let first = whole.operationCount
        #expect(cluster.open(2) == nil)
        cluster.kill(2)
        let operations = whole.operationCount - first
        #expect(operations > 12)
        let all = CrashPlan.Moment.allCases
        let plans = (0..<operations).flatMap { index in
            (Self.isLong ? all : [all[index % 3]]).map { moment in
                CrashPlan(index: index, moment: moment, seed: UInt64(index))
            }
        }
        for plan in plans {
            let comment: Comment = "\(plan)"
            let cut = disk.copy()
            let start = cut.operationCount
            cluster.replaceDisk(2, cut)
            cut.plan(CrashPlan(index: start + plan.index, moment: plan.moment, seed: plan.seed))
            _ = cluster.open(2)
            cluster.cutPower(2, seed: plan.seed &* 7 &+ 1)
            let block = try #require(cluster.superblock(2), comment)
            #expect(block.formation == old.formation, comment)
            if block.incarnation == old.incarnation {
                // Still the old self: then everything is still there. (The tree, which is opened
                // before the log, may have begun a new manifest.)
                for (path, bytes) in files where path.hasSuffix(".log") || path.hasSuffix(".sst") {
                    #expect(cut.contents(path) == bytes, "\(path) \(comment)")
                }
            }
            #expect(cluster.open(2) == nil, comment)
            let again = try #require(cluster.superblock(2))
            #expect(again.incarnation != old.incarnation, comment)
            #expect(cut.contents("/magpie/REBUILD") == nil, comment)
            cluster.kill(2)
        }
    }

    @Test(
        "A flipped bit anywhere in the tables of a node with peers does not keep it from starting")
    func tables() throws {
        let cluster = try cluster(seed: 25)
        let disk = cluster.disk(2)
        var renewed = 0
        for path in disk.paths where path.contains("/tree/") {
            let bytes = disk.contents(path) ?? []
            for offset in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 12)) {
                let damaged = disk.copy()
                damaged.flipBit(path, offset: offset, bit: offset % 8)
                cluster.replaceDisk(2, damaged)
                let before = cluster.superblock(2)?.incarnation
                let failure = cluster.open(2)
                #expect(failure == nil, "\(path) at \(offset)")
                if cluster.superblock(2)?.incarnation != before { renewed += 1 }
                cluster.kill(2)
            }
        }
        #expect(renewed > 0)
    }

    @Test("Rot that the scrub of a running member finds: it stops, and is rebuilt")
    func scrub() throws {
        // Simulated days begin at 22:13 UTC, in node 2's part of the day.
        let cluster = try cluster(seed: 28)
        let disk = cluster.disk(2)
        let tables = disk.paths.filter { $0.hasSuffix(".sst") }
        let largest = try #require(
            tables.max { disk.contents($0)?.count ?? 0 < disk.contents($1)?.count ?? 0 })
        disk.flipBit(largest, offset: 5, bit: 1)
        let before = try #require(cluster.superblock(2))
        cluster.start(2)
        #expect(cluster.run { cluster.failure(2) != nil })
        #expect(cluster.failure(2)?.contains(largest) == true, "\(cluster.failure(2) ?? "")")
        #expect(disk.contents("/magpie/REBUILD") != nil)
        cluster.kill(2)
        cluster.start(2)
        #expect(cluster.run { cluster.isReady(2) }, "\(cluster.failure(2) ?? "")")
        let after = try #require(cluster.superblock(2))
        #expect(after.incarnation != before.incarnation)
        for shard in 0...2 as ClosedRange<UInt32> { try expectMember(cluster, shard, after) }
    }

    @Test("A node of a cluster that is configured to be alone is refused, and nothing is touched")
    func configuredAlone() throws {
        let cluster = try cluster(seed: 26)
        let before = contents(cluster.disk(2))
        let failure = cluster.open(2, alone: true)
        #expect(failure?.contains("belongs to") == true, "\(failure ?? "it started")")
        #expect(contents(cluster.disk(2))["magpie/SUPERBLOCK"] == before["magpie/SUPERBLOCK"])
    }

    @Test("A node whose configuration leaves out a founder is refused, and nothing is touched")
    func configuredWithout() throws {
        let cluster = try cluster(seed: 29)
        let before = contents(cluster.disk(2))
        let failure = cluster.open(2, without: 3)
        #expect(failure?.contains("with the nodes 3") == true, "\(failure ?? "it started")")
        #expect(contents(cluster.disk(2))["magpie/SUPERBLOCK"] == before["magpie/SUPERBLOCK"])
        cluster.kill(2)
        #expect(cluster.open(2) == nil)
    }

    @Test("A node that is alone refuses, names file and place, and touches nothing")
    func alone() throws {
        let world = SimulatedNode(seed: 27)
        #expect(world.boot())
        guard let ann = world.register("ann"), let bob = world.register("bob") else { return }
        for number in 0..<20 as Range<UInt64> {
            #expect(world.send("\(number)", to: .user(bob.user), by: ann, cid: number) != nil)
        }
        world.pass(.seconds(1))
        world.cutPower(seed: 1)
        var refusals = 0
        for path in world.files.paths where path.contains("/log/") || path.contains("/tree/") {
            let bytes = world.files.contents(path) ?? []
            for offset in stride(from: 9, to: min(bytes.count, 4_000), by: 131)
            where bytes[offset] != 0 {
                let other = SimulatedNode(seed: 27, files: world.files.copy())
                other.files.flipBit(path, offset: offset, bit: 1)
                let before = contents(other.files)
                if other.boot() {
                    other.stop()
                    continue
                }
                refusals += 1
                let message = other.startFailure ?? ""
                #expect(message.contains("/magpie/") && message.contains("was removed or repaired"))
                #expect(message.contains("byte") || message.contains("offset"), "\(message)")
                let after = contents(other.files)
                // The tree was opened before the log, and has begun a new manifest.
                let kept = before.filter { path, _ in
                    !["/LOCK", "/CURRENT", ".manifest"].contains { path.hasSuffix($0) }
                }
                #expect(kept.count > 2)
                for (path, bytes) in kept { #expect(after[path] == bytes, "\(path) was changed") }
            }
        }
        #expect(refusals > 3)
    }
}

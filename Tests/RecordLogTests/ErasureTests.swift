import Foundation
import Platform
import Simulation
import Testing

@testable import RecordLog

/// Text that was erased leaves the log's files: those of segments that go, and spare ones.
@Suite("Erasure")
struct ErasureTests {
    private static let directory = "/log"
    private static let text = [UInt8]("what was erased in the end".utf8)

    /// A log whose background work waits until it is told to run.
    private struct World {
        let disk: SimulatedFileSystem
        let scheduler: SimulatedScheduler
        let log: SegmentLog

        init(_ disk: SimulatedFileSystem) throws {
            self.disk = disk
            scheduler = SimulatedScheduler(seed: 1)
            log = try SegmentLog.recover(
                fileSystem: disk, directory: directory,
                options: SegmentLogOptions(segmentBytes: 8192, recycledMax: 2),
                lane: scheduler.lane("files"), segmentHeader: { [] }, visit: { _, _, _ in })
            scheduler.runUntilIdle()
        }

        /// Appends a record, durably, and lets the background catch up.
        @discardableResult
        func write(_ payload: [UInt8]) throws -> UInt64 {
            let position = try log.append([LogRecord(type: 1, payload: payload)])[0]
            try log.sync()
            scheduler.runUntilIdle()
            return position.segment
        }

        /// The text, in the second block of its segment: the first is zeroed for any reuse.
        func writeText() throws -> UInt64 {
            try write([UInt8](repeating: 1, count: 5000))
            return try write(text)
        }

        /// Writes until `count` further segments are begun.
        func fill(_ count: Int) throws {
            var segment = log.end.segment
            for _ in 0..<count {
                let before = segment
                while segment == before {
                    segment = try write([UInt8](repeating: 2, count: 2000))
                }
            }
        }

        /// Lets go of everything before the present segment.
        func release() throws {
            log.release(before: log.end.segment)
            try log.mark()
            scheduler.runUntilIdle()
        }

        /// Files that hold the text.
        var holders: [String] { ErasureTests.holders(disk) }
    }

    private static func holders(_ disk: SimulatedFileSystem) -> [String] {
        disk.paths.filter { path in
            disk.contents(path).map { Data($0).range(of: Data(text)) != nil } ?? false
        }
    }

    /// A log that has released what its start found, so that only erasures noted since count.
    private static func settled() throws -> World {
        let world = try World(SimulatedFileSystem())
        try world.fill(4)
        try world.release()
        return world
    }

    @Test("A segment that nobody erased from is kept as it is: reuse costs one block")
    func plain() throws {
        let world = try Self.settled()
        _ = try world.writeText()
        try world.fill(1)
        try world.release()
        #expect(world.holders.count == 1)
    }

    @Test("The segment of an erasure is wiped although a later release frees it")
    func laterRelease() throws {
        let world = try Self.settled()
        try world.fill(1)
        let segment = try world.writeText()
        #expect(world.log.segmentIDs.contains { $0 < segment })
        world.log.noteErasure()
        try world.release()
        #expect(world.holders.count == 1, "it is part of the log")
        try world.fill(2)
        try world.release()
        #expect(!world.log.segmentIDs.contains(segment) && world.holders == [])
    }

    @Test("A segment that is to end does so with a mark, and goes although nothing is written")
    func endsSegment() throws {
        let world = try Self.settled()
        let segment = try world.writeText()
        world.log.noteErasure(endsSegment: true)
        try world.log.mark()
        #expect(world.log.end.segment > segment && world.holders.count == 1)
        let begun = world.log.end
        world.log.noteErasure(endsSegment: true)
        try world.log.mark()
        #expect(world.log.end == begun, "a segment without records does not end")
        try world.release()
        #expect(world.holders == [])
        let last = try world.write([UInt8](repeating: 4, count: 10))
        world.disk.crash(seed: 9)
        world.disk.restart()
        #expect(try World(world.disk).log.segmentIDs.contains(last))
    }

    @Test("A segment that was released before the erasure, and goes after it, is wiped")
    func pendingRelease() throws {
        let world = try Self.settled()
        _ = try world.writeText()
        try world.fill(1)
        world.log.release(before: world.log.end.segment)
        world.log.noteErasure()
        try world.log.mark()
        world.scheduler.runUntilIdle()
        #expect(world.holders == [])
    }

    @Test("A spare file is wiped when something is erased that it may hold")
    func spare() throws {
        let world = try Self.settled()
        _ = try world.writeText()
        try world.fill(1)
        try world.release()
        #expect(world.holders.count == 1)
        world.log.noteErasure()
        world.scheduler.runUntilIdle()
        #expect(world.holders == [])
    }

    @Test("What stands behind the records of a reused file is wiped with it")
    func staleTail() throws {
        let world = try Self.settled()
        _ = try world.writeText()
        try world.fill(1)
        try world.release()
        // The text's file waits to be the next segment, and gets no record so far back.
        try world.fill(1)
        #expect(world.holders.count == 1)
        world.log.noteErasure()
        try world.fill(1)
        try world.write([UInt8](repeating: 3, count: 7000))
        #expect(world.holders.count == 1)
        try world.release()
        #expect(world.holders == [])
    }

    @Test("A start does not know what was erased: all that it found is wiped when it goes")
    func restart() throws {
        let disk = SimulatedFileSystem()
        let before = try World(disk)
        let segment = try before.writeText()
        before.log.noteErasure()
        before.log.close()
        let world = try World(disk)
        #expect(world.log.segmentIDs.contains(segment) && world.holders.count == 1)
        try world.fill(1)
        try world.release()
        #expect(!world.log.segmentIDs.contains(segment) && world.holders == [])
    }

    @Test("A power cut before the wiping leaves it to the next start")
    func powerCut() throws {
        let world = try Self.settled()
        _ = try world.writeText()
        try world.fill(1)
        world.log.noteErasure()
        world.log.release(before: world.log.end.segment)
        try world.log.mark()
        world.disk.crash(seed: 3)
        world.disk.restart()
        #expect(world.holders.count == 1)
        #expect(try World(world.disk).holders == [])
    }

    @Test("A power cut at any operation of a wipe loses nothing, and the next start ends it")
    func powerCuts() throws {
        for moment in CrashPlan.Moment.allCases {
            var index = 0
            while true {
                let world = try Self.settled()
                _ = try world.writeText()
                try world.fill(1)
                try world.log.mark()
                let kept = world.log.end.segment
                world.log.noteErasure()
                let first = world.disk.operationCount
                world.disk.plan(
                    CrashPlan(index: first + index, moment: moment, seed: UInt64(index)))
                try? world.release()
                if !world.disk.isDown { break }
                world.disk.crash(seed: UInt64(index) &+ 7)
                world.disk.restart()
                let again = try World(world.disk)
                #expect(again.log.segmentIDs.contains(kept), "operation \(index), \(moment)")
                try again.release()
                #expect(again.holders == [], "operation \(index), \(moment)")
                index += 1
            }
            #expect(index > 5, "the wipe is among the operations")
        }
    }

    @Test("A wipe that failed is made up for before the file is used")
    func failure() throws {
        let world = try Self.settled()
        let segment = try world.writeText()
        try world.fill(1)
        world.log.noteErasure()
        world.log.release(before: world.log.end.segment)
        try world.log.mark()
        world.disk.inject(DiskFault([.write], .inputOutput, on: SegmentName.name(segment)))
        world.scheduler.runUntilIdle()
        #expect(world.holders.count == 1 && world.log.backgroundFailure != nil)
        world.disk.clearFaults()
        try world.fill(3)
        #expect(world.holders == [])
    }
}

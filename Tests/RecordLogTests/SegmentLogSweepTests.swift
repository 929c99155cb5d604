import Bytes
import Platform
import Simulation
import Testing

@testable import RecordLog

/// Every file of a small log is damaged in every way, one at a time.
@Suite struct SegmentLogSweepTests {
    private static let isLong = ProcessEnvironment.value("MAGPIE_LONG") != nil

    /// A log of some segments, one of them reused, whose last batch lies behind the last mark.
    private struct Swept {
        let world: LogWorld
        let disk = SimulatedFileSystem()
        /// Records below are proved by a mark, which ends here in the last segment.
        let marked: UInt64
        let markEnd: Int
        let paths: [String]

        init() throws {
            world = LogWorld(disk: disk, segmentBytes: 4096, recycledMax: 1)
            _ = try world.recover()
            while world.log?.segmentIDs.max() ?? 0 < 5 {
                try world.append(3)
                try world.sync()
                world.release(keeping: 2)
            }
            try world.append(2)
            try world.sync()
            try world.log?.mark()
            marked = world.next
            markEnd = Int(try #require(world.log).end.offset)
            try world.append(2)
            try world.sync()
            paths = try #require(world.log).segmentIDs.map { "/log/" + SegmentName.name($0) }
        }

        func bytes(_ path: String) -> [UInt8] { disk.contents(path) ?? [] }

        /// Starts on a damaged copy: true when it was refused, with an error that says where.
        ///
        /// - Parameter isProofless: the damage took the records that prove what was durable: what
        ///   comes back may be less, but it is right.
        func isRefused(
            _ copy: SimulatedFileSystem, in files: [String]?, isProofless: Bool = false,
            _ comment: String
        ) -> Bool {
            let other = LogWorld(disk: copy)
            do {
                let seen = try other.recover()
                #expect(seen.problems == [], "\(comment)")
                let end = max(seen.numbers.last.map { $0 + 1 } ?? 0, seen.headers.max() ?? 0)
                #expect(end >= (isProofless ? 0 : marked), "\(comment): ends at \(end)")
                #expect(end <= world.next, "\(comment): ends at \(end)")
                if let first = seen.numbers.first { #expect(first <= world.released, "\(comment)") }
                return false
            } catch {
                guard case .rot(let file, _, _, _) = error else {
                    Issue.record("\(comment): \(error)")
                    return true
                }
                #expect(files?.contains(file) ?? true, "\(comment): \(error)")
                return true
            }
        }
    }

    @Test("every flipped bit of every segment gives right records or an error that names it")
    func bits() throws {
        let swept = try Swept()
        var (flips, refused) = (0, 0)
        for path in swept.paths {
            let isLast = path == swept.paths.last
            let step = Self.isLong ? 1 : isLast ? 13 : 61
            for bit in stride(from: 0, to: swept.bytes(path).count * 8, by: step) {
                let disk = swept.disk.copy()
                disk.flipBit(path, offset: bit / 8, bit: bit % 8)
                if swept.isRefused(disk, in: [path], "bit \(bit) of \(path)") { refused += 1 }
                flips += 1
            }
        }
        #expect(refused > 300 && refused < flips, "\(refused) of \(flips)")
        Trust.report(flips, "flipped bits")
    }

    @Test("a segment of any other length gives right records or an error that names it")
    func lengths() throws {
        let swept = try Swept()
        var (cuts, refused) = (0, 0)
        for path in swept.paths {
            let bytes = swept.bytes(path)
            for length in stride(from: 0, to: bytes.count, by: Self.isLong ? 1 : 11) {
                let disk = swept.disk.copy()
                disk.setContents(path, Array(bytes[..<length]))
                let isProofless = path == swept.paths.last && length < swept.markEnd
                if swept.isRefused(
                    disk, in: [path], isProofless: isProofless, "length \(length) of \(path)")
                {
                    refused += 1
                }
                cuts += 1
            }
        }
        #expect(refused > 50 && refused < cuts, "\(refused) of \(cuts)")
        Trust.report(cuts, "cut files")
    }

    @Test("segments that change places or go missing, and records that do, are noticed")
    func places() throws {
        let swept = try Swept()
        var count = 0
        for (index, left) in swept.paths.enumerated() {
            for right in swept.paths[(index + 1)...] {
                let disk = swept.disk.copy()
                disk.setContents(left, swept.bytes(right))
                disk.setContents(right, swept.bytes(left))
                #expect(swept.isRefused(disk, in: nil, "\(left) and \(right)"))
                count += 1
            }
        }
        for path in swept.paths {
            let bytes = swept.bytes(path)
            let size = 128
            for offset in stride(from: 0, to: bytes.count - 2 * size, by: size) {
                var mixed = bytes
                mixed.replaceSubrange(
                    offset..<(offset + size), with: bytes[(offset + size)..<(offset + 2 * size)])
                mixed.replaceSubrange(
                    (offset + size)..<(offset + 2 * size), with: bytes[offset..<(offset + size)])
                if mixed == bytes { continue }
                let disk = swept.disk.copy()
                disk.setContents(path, mixed)
                let isProofless =
                    path == swept.paths.last && offset + 2 * size >= swept.markEnd
                _ = swept.isRefused(
                    disk, in: [path], isProofless: isProofless,
                    "\(size) bytes at \(offset) of \(path)")
                count += 1
            }
        }
        #expect(count > 15)
        Trust.report(count, "misplaced files and sectors")
    }
}

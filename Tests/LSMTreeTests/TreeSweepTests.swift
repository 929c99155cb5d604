import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Every file of a small tree is damaged in every way, one at a time: what can still be read is
/// right, and the rest is a precise error.
@Suite struct TreeSweepTests {
    private let world: SweptTree

    init() throws {
        world = try SweptTree(seed: 12)
    }

    @Test("every flipped bit of every file gives right rows or an error that names the file")
    func bits() throws {
        var (refused, older) = (0, 0)
        for path in world.paths {
            let count = world.bytes(path).count
            // The bits of tables are swept one by one below this target.
            let stride = isLong || !path.hasSuffix(TableName.ending) ? 1 : 37
            for bit in Swift.stride(from: 0, to: count * 8, by: stride) {
                let disk = world.disk.copy()
                disk.flipBit(path, offset: bit / 8, bit: bit % 8)
                switch world.look(disk, damaged: path, "bit \(bit) of \(path)") {
                case .refused: refused += 1
                case .cut(let number) where number < world.newestCut:
                    older += 1
                    #expect(path.hasSuffix(ManifestFormat.ending), "bit \(bit) of \(path)")
                    #expect(bit / 8 >= world.lastRecord, "bit \(bit) of \(path)")
                case .cut: break
                }
            }
        }
        #expect(refused > 2000 && older > 100)
        Trust.report(refused + older, "flipped bits")
    }

    @Test("a file that ends too early or too late gives right rows or an error that names it")
    func lengths() throws {
        var (refused, older) = (0, 0)
        for path in world.paths {
            let bytes = world.bytes(path)
            let stride = isLong || !path.hasSuffix(TableName.ending) ? 1 : 5
            for length in Swift.stride(from: 0, to: bytes.count + 9, by: stride)
            where length != bytes.count {
                let disk = world.disk.copy()
                let more = [UInt8](repeating: 0x30, count: max(0, length - bytes.count))
                disk.setContents(path, Array(bytes.prefix(length)) + more)
                switch world.look(disk, damaged: path, "length \(length) of \(path)") {
                case .refused: refused += 1
                case .cut(let number) where number < world.newestCut:
                    older += 1
                    #expect(path.hasSuffix(ManifestFormat.ending), "length \(length) of \(path)")
                    #expect(length >= world.lastRecord, "length \(length) of \(path)")
                case .cut: break
                }
            }
        }
        #expect(refused > 500 && older > 0)
        Trust.report(refused + older, "cut files")
    }

    @Test("files that change places, go missing or come from another life are refused")
    func places() throws {
        var count = 0
        for left in world.paths {
            let gone = world.disk.copy()
            try gone.unlink(left)
            #expect(world.look(gone, damaged: left, "without \(left)").isRefused, "\(left)")
            count += 1
            for right in world.paths where left < right {
                let disk = world.disk.copy()
                disk.setContents(left, world.bytes(right))
                disk.setContents(right, world.bytes(left))
                let outcome = world.look(disk, damaged: nil, "\(left) and \(right)")
                #expect(outcome.isRefused, "\(left) and \(right)")
                count += 1
            }
        }
        for (name, bytes) in world.former where !world.paths.contains(name) {
            let manifest = try #require(world.paths.first { $0.hasSuffix(ManifestFormat.ending) })
            let target = name.hasSuffix(TableName.ending) ? world.paths[1] : manifest
            let disk = world.disk.copy()
            disk.setContents(target, bytes)
            let outcome = world.look(disk, damaged: target, "\(name) as \(target)")
            #expect(outcome.isRefused, "\(name) as \(target)")
            count += 1
        }
        #expect(count > 20)
        Trust.report(count, "misplaced files")
    }

    @Test("a sector of one file that lands in another, or elsewhere in its own, is noticed")
    func sectors() throws {
        let size = 64
        var count = 0
        for path in world.paths where path.hasSuffix(TableName.ending) {
            let bytes = world.bytes(path)
            for other in world.paths where other.hasSuffix(TableName.ending) {
                let source = world.bytes(other)
                for offset in Swift.stride(from: 0, to: bytes.count - size, by: size) {
                    let from = other == path ? (offset + size) % (bytes.count - size) : offset
                    guard from + size <= source.count else { continue }
                    let piece = source[from..<(from + size)]
                    if bytes[offset..<(offset + size)] == piece { continue }
                    var mixed = bytes
                    mixed.replaceSubrange(offset..<(offset + size), with: piece)
                    let disk = world.disk.copy()
                    disk.setContents(path, mixed)
                    _ = world.look(disk, damaged: path, "\(other) at \(offset) of \(path)")
                    count += 1
                }
            }
        }
        #expect(count > 50)
        Trust.report(count, "misdirected sectors")
    }
}

/// A tree of few small files, closed, and what must be in it.
struct SweptTree {
    enum Outcome {
        case refused
        /// It opened, and all its rows are those of this cut.
        case cut(Int)

        var isRefused: Bool { if case .refused = self { true } else { false } }
    }

    let disk: SimulatedFileSystem
    /// Its files.
    let paths: [String]
    /// Files that were there before, with their contents.
    let former: [String: [UInt8]]
    /// Where the last record of the manifest begins.
    let lastRecord: Int
    let newestCut: Int
    private let options: TreeOptions
    private let models: [Model]

    init(seed: UInt64) throws {
        disk = SimulatedFileSystem(seed: seed)
        var options = TreeOptions(keyspaces: Harness.keyspaces)
        options.blockBytes = 100
        options.tableBytes = 500
        options.levelZeroTables = 3
        self.options = options
        let scheduler = SimulatedScheduler(seed: seed)
        let tree = try Harness.open(disk, options, scheduler)
        var generator = SplitMix64(seed: seed)
        var (model, models) = (Model(3), [Model(3)])
        var former: [String: [UInt8]] = [:]
        for number in 1...5 {
            for _ in 0..<5 {
                let batch = Self.batch(&generator)
                tree.apply(batch)
                model.apply(batch)
            }
            tree.cut(state: Harness.state(number)) { _ in }
            scheduler.runUntilIdle()
            models.append(model)
            for path in disk.paths { former[path] = disk.contents(path) }
        }
        tree.close()
        // A start makes a new manifest, and one more cut, behind which no merge is due, its last
        // record.
        var quiet = options
        quiet.levelZeroTables = 50
        let again = try Harness.open(disk, quiet, scheduler)
        scheduler.runUntilIdle()
        let manifest = try #require(disk.paths.first { $0.hasSuffix(ManifestFormat.ending) })
        lastRecord = disk.contents(manifest)?.count ?? 0
        let batch = Self.batch(&generator)
        again.apply(batch)
        model.apply(batch)
        models.append(model)
        newestCut = models.count - 1
        again.cut(state: Harness.state(newestCut)) { _ in }
        scheduler.runUntilIdle()
        again.close()
        paths = disk.paths
        self.former = former
        self.models = models
    }

    /// Few rows with short values.
    private static func batch(_ generator: inout SplitMix64) -> WriteBatch {
        var batch = WriteBatch()
        for _ in 0..<2 {
            let keyspace = Harness.keyspaces[Int(generator.next() % 3)].keyspace
            let key = Harness.key(&generator)
            switch generator.next() % 10 {
            case 0: batch.deleteRange(keyspace, from: key, to: Harness.key(&generator))
            case 1: batch.delete(keyspace, key: key)
            default:
                let value = [UInt8](repeating: UInt8(generator.next() % 256), count: 10)
                batch.put(keyspace, key: key, value: keyspace == Harness.dedup ? value : key)
            }
        }
        return batch
    }

    func bytes(_ path: String) -> [UInt8] { disk.contents(path) ?? [] }

    /// Opens a damaged copy and reads all that can be read. Wrong rows, and errors that do not say
    /// which file is damaged, are recorded.
    func look(_ copy: SimulatedFileSystem, damaged: String?, _ comment: String) -> Outcome {
        let scheduler = SimulatedScheduler(seed: 1)
        let failures = FailureBox()
        do {
            let tree = try Harness.open(copy, options, scheduler, failures: failures)
            defer { tree.close() }
            let cut = tree.installedState.map { Harness.number($0) } ?? 0
            guard models.indices.contains(cut) else {
                Issue.record("\(comment): a cut that never was, \(cut)")
                return .cut(cut)
            }
            try read(tree.snapshot(), models[cut], comment)
            scheduler.runUntilIdle()
            return .cut(cut)
        } catch let error as TreeError {
            check(error, damaged: damaged, comment)
        } catch {
            Issue.record("\(comment): \(error)")
        }
        return .refused
    }

    private func read(_ snapshot: Snapshot, _ model: Model, _ comment: String) throws {
        for (place, keyspace) in Harness.keyspaces.enumerated() {
            let expected = model.sorted(place)
            for row in expected {
                let found = try snapshot.get(keyspace.keyspace, key: row.key)
                #expect(found == row.value, "\(comment)")
            }
            let forward = try Harness.rows(snapshot, keyspace.keyspace)
            let backward = try Harness.rowsBackward(snapshot, keyspace.keyspace)
            #expect(forward == expected && backward == expected, "\(comment)")
        }
    }

    private func check(_ error: TreeError, damaged: String?, _ comment: String) {
        guard let damaged else { return }
        switch error {
        case .corrupt(let file, _, let expected, let found):
            #expect(!expected.isEmpty && !found.isEmpty, "\(comment): \(error)")
            // A manifest without its last record lists a table that a merge has replaced since.
            let isGone =
                damaged.hasSuffix(ManifestFormat.ending) && disk.contents(file) == nil
            #expect(file.hasSuffix(damaged) || isGone, "\(comment): \(error)")
        case .disk(let disk):
            #expect(disk.path.hasSuffix(damaged), "\(comment): \(error)")
        case .unknownKeyspace:
            Issue.record("\(comment): \(error)")
        }
    }
}

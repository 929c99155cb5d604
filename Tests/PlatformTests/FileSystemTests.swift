import Bytes
import Platform
import Simulation
import Testing

/// What every file system must do, run over the real one and the simulated one.
@Suite struct FileSystemTests {
    enum Kind: String, CaseIterable, Sendable { case linux, simulated }

    /// A fresh directory of a file system, removed at the end.
    final class Place {
        let files: any FileSystem
        let root: String

        init(_ kind: Kind) throws {
            switch kind {
            case .linux:
                files = LinuxFileSystem()
                let name = Hex.encode(SystemRandom().bytes(8))
                root = "/tmp/magpie-platform-tests/\(name)"
            case .simulated:
                files = SimulatedFileSystem()
                root = "/data"
            }
            try files.makeDirectory(root)
        }

        deinit {
            for name in (try? files.list(root)) ?? [] { try? files.unlink("\(root)/\(name)") }
        }

        func write(_ name: String, _ bytes: [UInt8], at offset: UInt64 = 0) throws {
            let path = "\(root)/\(name)"
            let file = try files.open(path, try files.exists(path) ? .readWrite : .create)
            try bytes.withUnsafeBytes { try file.write($0, at: offset) }
            try file.sync()
        }

        func read(_ name: String) throws -> [UInt8] {
            let file = try files.open("\(root)/\(name)", .read)
            var bytes = [UInt8](repeating: 0xEE, count: Int(try file.size()) + 10)
            let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
            return Array(bytes[..<count])
        }
    }

    @Test("Written bytes are read back, short at the end, zeros in holes", arguments: Kind.allCases)
    func roundTrip(_ kind: Kind) throws {
        let place = try Place(kind)
        try place.write("a", [1, 2, 3])
        try place.write("a", [9], at: 5)
        #expect(try place.read("a") == [1, 2, 3, 0, 0, 9])
        let file = try place.files.open("\(place.root)/a", .read)
        var small: [UInt8] = [7, 7]
        let middle = try small.withUnsafeMutableBytes { try file.read(into: $0, at: 4) }
        #expect(middle == 2 && small == [0, 9])
        let beyond = try small.withUnsafeMutableBytes { try file.read(into: $0, at: 100) }
        #expect(beyond == 0)
    }

    @Test(
        "A mapping has the bytes of the file, also when it is closed and unlinked",
        arguments: Kind.allCases, [0, 1, 4096, 100_000, 131_072])
    func mapping(_ kind: Kind, _ count: Int) throws {
        let place = try Place(kind)
        var generator = SplitMix64(seed: UInt64(count))
        let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        try place.write("a", bytes)
        let file = try place.files.open("\(place.root)/a", .read)
        let mapped = try file.map()
        let before = withExtendedLifetime(mapped) { Array(mapped.bytes) }
        #expect(before == bytes)
        file.close()
        try place.files.unlink("\(place.root)/a")
        let after = withExtendedLifetime(mapped) { Array(mapped.bytes) }
        #expect(after == bytes)
        let closed = #expect(throws: DiskError.self) { try file.map() }
        #expect(closed?.reason == .closed)
    }

    @Test("A mapping of a simulated file meets its faults")
    func mappingFaults() throws {
        let files = SimulatedFileSystem()
        files.setContents("/a", [1, 2, 3])
        let file = try files.open("/a", .read)
        files.inject(DiskFault([.read], .inputOutput, on: "a"))
        #expect(throws: DiskError.self) { try file.map() }
        files.flipBit("/a", offset: 1, bit: 0)
        let mapped = try file.map()
        let bytes = withExtendedLifetime(mapped) { Array(mapped.bytes) }
        #expect(bytes == [1, 3, 3])
    }

    @Test("Random writes and cuts equal those on an array", arguments: Kind.allCases, [1, 2, 3])
    func againstModel(_ kind: Kind, _ seed: UInt64) throws {
        let place = try Place(kind)
        var generator = SplitMix64(seed: seed)
        let file = try place.files.open("\(place.root)/f", .create)
        var model: [UInt8] = []
        for step in 0..<200 {
            switch generator.next() % 8 {
            case 0:
                let size = Int(generator.next() % 100_000)
                try file.truncate(UInt64(size))
                model =
                    Array(model.prefix(size))
                    + Array(repeating: 0, count: max(0, size - model.count))
            case 1:
                let size = Int(generator.next() % 100_000)
                try file.preallocate(UInt64(size))
                model += Array(repeating: 0, count: max(0, size - model.count))
            default:
                let offset = Int(generator.next() % 90_000)
                let count = Int(generator.next() % 3000) + 1
                let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                try bytes.withUnsafeBytes { try file.write($0, at: UInt64(offset)) }
                if model.count < offset + count {
                    model += Array(repeating: 0, count: offset + count - model.count)
                }
                model.replaceSubrange(offset..<(offset + count), with: bytes)
            }
            if step % 20 == 0 { try file.sync() }
        }
        #expect(try place.read("f") == model, "seed \(seed)")
    }

    @Test(
        "A missing file, a present file and a missing directory are told apart",
        arguments: Kind.allCases)
    func openErrors(_ kind: Kind) throws {
        let place = try Place(kind)
        let missing = "\(place.root)/none"
        #expect(throws: DiskError(.notFound, "open", missing)) {
            try place.files.open(missing, .readWrite)
        }
        try place.write("here", [1])
        #expect(throws: DiskError(.exists, "open", "\(place.root)/here")) {
            try place.files.open("\(place.root)/here", .create)
        }
        #expect(throws: DiskError.self) { try place.files.open("\(missing)/x", .create) }
        #expect(throws: DiskError.self) { try place.files.list(missing) }
        #expect(try !place.files.exists(missing))
    }

    @Test(
        "Names are listed by bytes, renamed over others, linked and removed",
        arguments: Kind.allCases)
    func names(_ kind: Kind) throws {
        let place = try Place(kind)
        for name in ["b", "a", "c"] { try place.write(name, [UInt8](name.utf8)) }
        #expect(try place.files.list(place.root) == ["a", "b", "c"])
        let held = try place.files.open("\(place.root)/b", .read)
        try place.files.rename("\(place.root)/a", to: "\(place.root)/b")
        #expect(try place.read("b") == [0x61])
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try held.read(into: $0, at: 0) }
        #expect(byte == [0x62], "a handle follows the file, not its name")
        try place.files.link("\(place.root)/c", as: "\(place.root)/d")
        #expect(throws: DiskError.self) {
            try place.files.link("\(place.root)/c", as: "\(place.root)/b")
        }
        try place.files.unlink("\(place.root)/c")
        #expect(try place.read("d") == [0x63])
        #expect(try place.files.list(place.root) == ["b", "d"])
        try place.files.syncDirectory(place.root)
        #expect(throws: DiskError.self) { try place.files.unlink("\(place.root)/c") }
    }

    @Test("Directories are made with their parents, twice if asked", arguments: Kind.allCases)
    func directories(_ kind: Kind) throws {
        let place = try Place(kind)
        let deep = "\(place.root)-x/y/z"
        try place.files.makeDirectory(deep)
        try place.files.makeDirectory(deep)
        #expect(try place.files.list("\(place.root)-x/y") == ["z"])
        #expect(try place.files.freeBytes(deep) > 0)
    }

    @Test("A closed file refuses everything", arguments: Kind.allCases)
    func closed(_ kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.files.open("\(place.root)/f", .create)
        file.close()
        file.close()
        var byte: [UInt8] = [0]
        #expect(throws: DiskError(.closed, "pread", file.path)) {
            _ = try byte.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        }
        #expect(throws: DiskError(.closed, "fdatasync", file.path)) { try file.sync() }
    }

    @Test(
        "A lock is exclusive, names its holder, and can be taken again after release",
        arguments: Kind.allCases)
    func locks(_ kind: Kind) throws {
        let place = try Place(kind)
        let path = "\(place.root)/LOCK"
        let lock = try place.files.lock(path, note: "magpie test")
        do {
            _ = try place.files.lock(path, note: "second")
            Issue.record("two holders")
        } catch {
            guard case .locked(let holder) = error.reason else {
                Issue.record("unexpected \(error)")
                return
            }
            #expect(holder.hasPrefix("magpie test"))
        }
        lock.release()
        try place.files.lock(path, note: "second").release()
    }
}

import Glibc
import Platform
import Testing

/// Golden files beside the tests. `MAGPIE_REWRITE=1` writes them anew, for a change of format that
/// is meant.
enum Golden {
    private static let directory =
        "\(#filePath)".split(separator: "/").dropLast()
        .reduce("") { "\($0)/\($1)" } + "/Golden"

    private static let isRewriting = getenv("MAGPIE_REWRITE") != nil

    static func check(_ name: String, _ bytes: [UInt8]) throws {
        let files = LinuxFileSystem()
        let path = "\(directory)/\(name)"
        if isRewriting {
            if try files.exists(path) { try files.unlink(path) }
            try files.open(path, .create).write(bytes, at: 0)
        }
        let file = try files.open(path, .read)
        let stored = try file.read(Int(try file.size()), at: 0)
        #expect(stored == bytes, "\(name) differs from what the code writes")
    }
}

/// `MAGPIE_LONG=1` tries many more seeds.
enum Long {
    private static let isOn = getenv("MAGPIE_LONG") != nil

    /// `count` seeds from `start` on, in the long run twenty times as many.
    static func seeds(_ start: UInt64, _ count: UInt64) -> Range<UInt64> {
        start..<(start + (isOn ? count * 20 : count))
    }
}

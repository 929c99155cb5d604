import Bytes
import Foundation

extension Torture {
    /// Batches that one turn of the log may hold: so many can be lost by rot in its last, unmarked
    /// records, which looks as a torn write does.
    private static let turnMax = 64

    /// Flips one bit of one file in a copy of the stopped store; what was not seen, or nil.
    ///
    /// The copy must then show right data or refuse with the file's name. One thing is outside of
    /// what a log alone can tell: records behind its last mark. Rot there is taken for a write that
    /// the power cut, so that batches of that turn may be missing, and nothing else.
    func flipOnce() throws -> String? {
        let files = FileManager.default
        let copy = directory + "/flipped"
        if files.fileExists(atPath: copy) { try files.removeItem(atPath: copy) }
        guard files.fileExists(atPath: storeDirectory) else { return nil }
        try files.copyItem(atPath: storeDirectory, toPath: copy)
        guard let (path, offset, bit) = try flipBit(in: copy) else { return nil }
        let view = try view(arguments(copy, sizes: generator.next()))
        let place = "bit \(bit) of byte \(offset) of \(path) was flipped: "
        if let problem = view.problem { return place + problem }
        if let refusal = view.refusal, !refusal.contains(copy) {
            return place + "refused without a file: \(refusal)"
        }
        if let rows = view.rows {
            switch oracle.judge(rows) {
            case .prefix: if view.refusal == nil { counts.flipsRight += 1 }
            case .lost(let count) where path.hasSuffix(".log") && count <= Self.turnMax:
                counts.flipsInTail += 1
            case .lost(let count): return place + "\(count) acknowledged batches are lost"
            case .wrong(let what): return place + what
            }
        } else if view.refusal == nil {
            return place + "the worker ended without a word: \(view.end)"
        }
        if view.refusal != nil { counts.flipsRefused += 1 }
        try files.removeItem(atPath: copy)
        return nil
    }

    /// Draws a file and a bit, mostly where something is written.
    private func flipBit(in copy: String) throws -> (path: String, offset: Int, bit: UInt64)? {
        var paths: [String] = []
        for folder in ["tree", "log"] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(copy)/\(folder)"))
            paths += (names ?? []).sorted().map { "\(copy)/\(folder)/\($0)" }
        }
        guard !paths.isEmpty else { return nil }
        let path = paths[Int(generator.next() % UInt64(paths.count))]
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        let written = (data.lastIndex { $0 != 0 } ?? -1) + 1
        let end = generator.next() % 4 == 0 || written == 0 ? data.count : written
        guard end > 0 else { return nil }
        let offset = Int(generator.next() % UInt64(end))
        let bit = generator.next() % 8
        data[offset] ^= 1 << UInt8(bit)
        try data.write(to: URL(fileURLWithPath: path))
        return (path, offset, bit)
    }
}

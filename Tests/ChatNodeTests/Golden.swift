import Foundation
import Testing

/// Golden files beside the tests.
enum Golden {
    /// Compares `bytes` with a golden file. With MAGPIE_REWRITE=1 the file is written instead.
    static func check(_ name: String, _ bytes: [UInt8]) throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden")
        let url = folder.appendingPathComponent(name)
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
        #expect([UInt8](try Data(contentsOf: url)) == bytes, "\(name)")
    }
}

import Foundation

// The two functions that libFuzzer calls. In other builds nobody does.

/// One input: its first byte names the target.
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.dispatch([UInt8](UnsafeBufferPointer(start: start, count: count)))
    return 0
}

/// Puts the seeds into the folder of inputs that the command line names, before it is read.
@_cdecl("LLVMFuzzerInitialize")
func fuzzInitialize(
    _ count: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    for argument in CommandLine.arguments.dropFirst() where !argument.hasPrefix("-") {
        let folder = URL(fileURLWithPath: argument)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder),
            isFolder.boolValue
        else { continue }
        for target in FuzzTarget.allCases {
            for (index, seed) in target.seeds.enumerated() {
                let file = folder.appendingPathComponent("seed-\(target)-\(index)")
                try? Data([target.rawValue] + seed).write(to: file)
            }
        }
        break
    }
    return 0
}

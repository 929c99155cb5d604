import Foundation

/// The Unicode character database as Debian's package `unicode-data` installs it.
enum UnicodeFiles {
    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) cannot be read: apt-get install unicode-data bzip2" }
    }

    /// The fields of each line that holds data.
    static func rows(_ name: String) throws -> [[String]] {
        let path = "/usr/share/unicode/" + name
        let data =
            name.hasSuffix(".bz2") ? unpacked(path) : FileManager.default.contents(atPath: path)
        guard let data, !data.isEmpty else { throw Missing(path: path) }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { line in
            let content = line.prefix { $0 != "#" }
            guard !content.allSatisfy(\.isWhitespace) else { return nil }
            return content.split(separator: ";", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
    }

    private static func unpacked(_ path: String) -> Data? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["bzip2", "-dc", path]
        let output = Pipe()
        process.standardOutput = output
        guard (try? process.run()) != nil else { return nil }
        let data = try? output.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? data : nil
    }

    /// A property of two fields, by scalar.
    static func property(_ name: String) throws -> [UInt32: String] {
        var result: [UInt32: String] = [:]
        for fields in try rows(name) where fields.count >= 2 {
            for scalar in scalars(fields[0]) { result[scalar] = fields[1] }
        }
        return result
    }

    /// "0041" or "0041..005A".
    static func scalars(_ text: String) -> ClosedRange<UInt32> {
        let ends = text.components(separatedBy: "..").compactMap { UInt32($0, radix: 16) }
        return (ends.first ?? 0)...(ends.last ?? 0)
    }

    /// The text of "0041 0300".
    static func text(_ field: String) -> String {
        var result = ""
        for part in field.split(separator: " ") {
            if let number = UInt32(part, radix: 16), let scalar = Unicode.Scalar(number) {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A text of one scalar; nil for a surrogate.
    static func text(_ number: UInt32) -> String? {
        Unicode.Scalar(number).map { String($0) }
    }
}

import Foundation
import Glibc
import Platform

/// What a stretch of work cost the process.
struct Meter {
    /// Costs between two readings.
    struct Reading {
        /// Wall seconds.
        var seconds = 0.0
        /// Seconds of processor, user and system, of all threads.
        var cpuSeconds = 0.0
        /// Bytes given to write calls (`wchar` of /proc/self/io). Its neighbour `write_bytes` is
        /// not used: with large folios the kernel counts a whole folio, up to 1 MiB, for each small
        /// write into a file that was filled before, whatever reaches the disk.
        var writtenBytes: UInt64 = 0
        /// Bytes that the device took, from everybody on the machine: page rounding and the file
        /// system's journal are in it, and so is every other process.
        var deviceBytes: UInt64 = 0

        static func - (left: Reading, right: Reading) -> Reading {
            Reading(
                seconds: left.seconds - right.seconds,
                cpuSeconds: left.cpuSeconds - right.cpuSeconds,
                writtenBytes: left.writtenBytes - right.writtenBytes,
                deviceBytes: left.deviceBytes - right.deviceBytes)
        }
    }

    private let start: Reading
    private let device: String

    /// Starts, and forgets the peak of memory so far. `directory` says which device is meant.
    init(_ directory: String) {
        Self.trim()
        Self.resetPeak()
        device = Self.deviceFile(directory)
        start = Self.read(device)
    }

    /// Costs since the start.
    var reading: Reading { Self.read(device) - start }

    /// Nanoseconds of a clock that never goes back.
    @inline(__always)
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    private static func read(_ device: String) -> Reading {
        Reading(
            seconds: Double(now()) / 1e9, cpuSeconds: cpuSeconds(),
            writtenBytes: number("wchar:", in: "/proc/self/io"),
            deviceBytes: sectorsWritten(device) * 512)
    }

    /// The kernel's counters of the device that holds a directory.
    private static func deviceFile(_ directory: String) -> String {
        var status = stat()
        guard lstat(directory, &status) == 0 else { return "" }
        let (major, minor) = ((status.st_dev >> 8) & 0xfff, status.st_dev & 0xff)
        return "/sys/dev/block/\(major):\(minor)/stat"
    }

    /// The seventh of the counters; 0 when there are none.
    private static func sectorsWritten(_ file: String) -> UInt64 {
        guard let data = FileManager.default.contents(atPath: file) else { return 0 }
        let fields = String(decoding: data, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return fields.count > 6 ? UInt64(fields[6]) ?? 0 : 0
    }

    /// Seconds of processor that the process has used.
    static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// The most memory that was resident since the meter started.
    static func peakResidentBytes() -> UInt64 {
        number("VmHWM:", in: "/proc/self/status") * 1024
    }

    /// Gives freed memory back, so that one engine's is not counted as the next one's. Glibc has
    /// the function, its Swift module has not.
    private static func trim() {
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)(0)
    }

    private static func resetPeak() {
        guard let file = fopen("/proc/self/clear_refs", "w") else { return }
        fputs("5", file)
        fclose(file)
    }

    /// The number behind a name in one of the kernel's files; 0 when it is not there.
    private static func number(_ name: String, in path: String) -> UInt64 {
        guard let file = fopen(path, "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let bytes = line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
            let text = String(decoding: bytes, as: UTF8.self)
            guard text.hasPrefix(name) else { continue }
            let digits = text.dropFirst(name.count).drop { !$0.isNumber }.prefix { $0.isNumber }
            return UInt64(digits) ?? 0
        }
        return 0
    }

    /// Bytes that the files of a directory take on the disk.
    static func diskBytes(_ directory: String) -> UInt64 {
        files(of: directory).reduce(0) { $0 + $1.bytes }
    }

    /// The files of a directory and of those below, and the bytes that each takes on the disk.
    static func files(of directory: String) -> [(path: String, bytes: UInt64)] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var all: [(path: String, bytes: UInt64)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            let path = directory + "/" + name
            var status = stat()
            // A file may go meanwhile.
            guard lstat(path, &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG: all.append((path, UInt64(status.st_blocks) * 512))
            case S_IFDIR: all += files(of: path)
            default: continue
            }
        }
        return all
    }

    /// Bytes of the files that hold rows: logs are kept for reuse and say little about space.
    static func tableBytes(_ directory: String) -> UInt64 {
        tables(in: directory).reduce(0) { $0 + $1.bytes }
    }

    /// The files of tables, by the endings that the engines give them.
    static func tables(in directory: String) -> [(path: String, bytes: UInt64)] {
        files(of: directory).filter { $0.path.hasSuffix(".sst") || $0.path.hasSuffix(".ldb") }
    }

    /// The kind of file system that holds a directory.
    static func fileSystem(_ directory: String) -> String {
        let data = FileManager.default.contents(atPath: "/proc/self/mounts") ?? Data()
        var found: (point: Substring, words: String)?
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = fields[1] == "/" ? "" : fields[1]
            // The deepest mount that holds the directory; of several in one place the last.
            guard (directory + "/").hasPrefix(point + "/"),
                point.count >= found?.point.count ?? 0
            else { continue }
            found = (point, "\(fields[2]) on \(fields[0])")
        }
        return found?.words ?? "unknown file system"
    }

    /// The processor's name and how many there are.
    static var processor: String {
        let text = FileManager.default.contents(atPath: "/proc/cpuinfo") ?? Data()
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("model name") }
        let name = line?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return "\(name ?? "unknown processor"), \(cores) cores"
    }
}

/// Waits for stores to come to rest.
enum Quiet {
    /// Returns when `isQuiet` has been true ten times in a row, a few milliseconds apart: between
    /// two background jobs a store looks quiet for a moment.
    static func wait(_ isQuiet: () -> Bool) {
        var times = 0
        while times < 10 {
            times = isQuiet() ? times + 1 : 0
            _ = Latch(1).wait(.milliseconds(5))
        }
    }

    /// Returns when the process has used hardly any processor for 150 ms.
    static func waitForIdleProcess() {
        var times = 0
        var last = Meter.cpuSeconds()
        while times < 3 {
            _ = Latch(1).wait(.milliseconds(50))
            let now = Meter.cpuSeconds()
            times = now - last < 0.002 ? times + 1 : 0
            last = now
        }
    }
}

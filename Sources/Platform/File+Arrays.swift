// Arrays in and out of files, for what is not hot.
extension File {
    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
        let result = bytes.withUnsafeBytes { raw -> Result<Void, DiskError> in
            do throws(DiskError) {
                return .success(try write(raw, at: offset))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Reads up to `count` bytes at `offset`; fewer only at the end of the file.
    package func read(_ count: Int, at offset: UInt64) throws(DiskError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = bytes.withUnsafeMutableBytes { raw -> Result<Int, DiskError> in
            do throws(DiskError) {
                return .success(try read(into: raw, at: offset))
            } catch {
                return .failure(error)
            }
        }
        bytes.removeLast(count - (try result.get()))
        return bytes
    }
}

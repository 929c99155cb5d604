import NIOCore

/// The mask of a client's frames (RFC 6455, section 5.3): payload byte i is combined with key byte
/// i mod 4. It hides nothing; it keeps a hostile page from choosing the bytes on the wire.
///
/// Masking and unmasking are the same operation and are always done while copying, eight bytes a
/// step, so that the payload is touched once.
package struct WebSocketMask: Hashable, Sendable {
    /// The four key bytes in wire order, the first in the lowest byte.
    let littleEndianKey: UInt32

    /// From the number whose big-endian bytes are the key on the wire: any random number will do.
    package init(_ key: UInt32) {
        littleEndianKey = key.byteSwapped
    }

    init(littleEndianKey: UInt32) {
        self.littleEndianKey = littleEndianKey
    }

    /// The key bytes in wire order.
    var wireBytes: UInt32 { littleEndianKey.byteSwapped }

    /// Copies `source` to `target` (at least as long) under the mask; `offset` is how many payload
    /// bytes came before.
    func copy(
        _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, offset: Int
    ) {
        precondition(target.count >= source.count, "the target of a masked copy is too short")
        let turn = UInt32(offset & 3) &* 8
        let key =
            turn == 0
            ? littleEndianKey
            : littleEndianKey &>> turn | littleEndianKey &<< (32 &- turn)
        let wide = UInt64(key) | UInt64(key) &<< 32
        var index = 0
        while source.count &- index >= 8 {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            target.storeBytes(
                of: word ^ wide.littleEndian, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < source.count {
            target[index] =
                source[index] ^ UInt8(truncatingIfNeeded: key &>> (UInt32(index & 3) &* 8))
            index &+= 1
        }
    }
}

extension ByteBuffer {
    /// Moves `count` readable bytes of `source` to the end of this buffer, under `mask` if there
    /// is one, and shows the moved bytes to `inspect`.
    mutating func append(
        _ count: Int, from source: inout ByteBuffer, mask: WebSocketMask?, offset: Int,
        inspect: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        var accepted = true
        writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            let part = UnsafeMutableRawBufferPointer(rebasing: target[..<count])
            source.readWithUnsafeReadableBytes { bytes in
                let input = UnsafeRawBufferPointer(rebasing: bytes[..<count])
                if let mask {
                    mask.copy(input, to: part, offset: offset)
                } else {
                    part.copyMemory(from: input)
                }
                return count
            }
            accepted = inspect(UnsafeRawBufferPointer(part))
            return count
        }
        return accepted
    }
}

package import NIOCore

/// Frames to send. Head and payload lie in one buffer, so a server's frame is encoded once and the
/// same storage is written to every receiver.
package enum WebSocketFrame {
    /// Payload bytes that a control frame may carry.
    package static let controlBytesMax = 125

    /// Bytes of the head before a payload of `payloadBytes`.
    package static func headerBytes(payloadBytes: Int, isMasked: Bool) -> Int {
        let length = payloadBytes <= 125 ? 2 : payloadBytes <= 0xFFFF ? 4 : 10
        return length + (isMasked ? 4 : 0)
    }

    /// One frame. A client passes a fresh random `mask` for each frame; a server passes none.
    package static func encode(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, isFinal: Bool = true,
        mask: WebSocketMask? = nil
    ) -> ByteBuffer {
        payload.withUnsafeReadableBytes { encode(opcode, $0, isFinal: isFinal, mask: mask) }
    }

    /// The same of bytes in memory.
    package static func encode(
        _ opcode: WebSocketOpcode, _ payload: UnsafeRawBufferPointer, isFinal: Bool = true,
        mask: WebSocketMask? = nil
    ) -> ByteBuffer {
        precondition(
            !opcode.isControl || (isFinal && payload.count <= controlBytesMax),
            "a control frame is whole and carries at most 125 bytes")
        let headerCount = headerBytes(payloadBytes: payload.count, isMasked: mask != nil)
        var buffer = ByteBufferAllocator().buffer(capacity: headerCount + payload.count)
        buffer.writeInteger((isFinal ? 0x80 : 0) | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ...125:
            buffer.writeInteger(maskBit | UInt8(payload.count))
        case ...0xFFFF:
            buffer.writeInteger(maskBit | 126)
            buffer.writeInteger(UInt16(payload.count))
        default:
            buffer.writeInteger(maskBit | 127)
            buffer.writeInteger(UInt64(payload.count))
        }
        guard let mask else {
            buffer.writeBytes(payload)
            return buffer
        }
        buffer.writeInteger(mask.wireBytes)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: payload.count) { target in
            mask.copy(payload, to: target, offset: 0)
            return payload.count
        }
        return buffer
    }

    /// A close frame. A reason is cut, at a character, to the 123 bytes that fit; without a code
    /// the frame is empty.
    package static func encodeClose(
        _ code: WebSocketCloseCode?, reason: String = "", mask: WebSocketMask? = nil
    ) -> ByteBuffer {
        var payload = ByteBuffer()
        if let code {
            precondition(code.isValidInFrame, "a close code that may stand in a frame")
            payload.writeInteger(code.rawValue)
            var cut = reason.utf8.prefix(controlBytesMax - 2)
            while cut.endIndex != reason.utf8.endIndex,
                cut.endIndex.samePosition(in: reason.unicodeScalars) == nil
            {
                cut = cut.dropLast()
            }
            payload.writeBytes(cut)
        }
        return encode(.close, payload, mask: mask)
    }
}

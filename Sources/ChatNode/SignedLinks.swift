import Bytes
import ChatModel
import Platform
import Secrets

/// Media URLs as capabilities: `/media/{blob}?e=EXPIRY&s=SIGNATURE`.
///
/// The expiry is rounded up to the hour, so that the same blob has the same URL for a while and
/// caches get hits: a URL is good for one to two hours.
struct SignedLinks: MediaLinks {
    let key: [UInt8]
    let clock: any Clock

    func url(for blob: BlobID) -> String {
        let hour: Milliseconds = 3_600_000
        let expiresAtMs = (clock.wallMilliseconds() / hour + 2) * hour
        return "/media/\(blob)?e=\(expiresAtMs)&s=\(signature(blob, expiresAtMs))"
    }

    /// True when `signature` was made here for this blob and expiry.
    func isGenuine(_ blob: BlobID, expiresAtMs: Milliseconds, signature text: String) -> Bool {
        HMAC.isEqual(Array(text.utf8), Array(signature(blob, expiresAtMs).utf8))
    }

    private func signature(_ blob: BlobID, _ expiresAtMs: Milliseconds) -> String {
        var writer = ByteWriter(capacity: 25)
        writer.write(TokenPurpose.media.rawValue)
        writer.write(raw: blob.bytes)
        writer.write(fixed: expiresAtMs)
        return Base64URL.encode(Array(HMAC.sha256(key: key, writer.bytes).prefix(16)))
    }
}

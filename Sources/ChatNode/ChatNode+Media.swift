import BlobStore
import ChatEngine
import ChatModel
import Platform
import Secrets
package import Session
import Synchronization

/// Media: bytes go to the blob store under their hash, the log learns of a random id.
extension ChatNode {
    /// Starts an upload; at most so many at once.
    package func beginUpload(
        _ request: UploadRequest, by identity: Identity,
        answer: @escaping Answer<any UploadPort>
    ) {
        if let size = request.size, size > configuration.limits.mediaBytes {
            return refuse(answer, tooLarge)
        }
        if let hash = request.contentHash, hash.count != SHA256.byteCount {
            let error = ServiceError(.invalidArgument, "X-Content-SHA256: 64 hexadecimal digits")
            return refuse(answer, error)
        }
        if disk.room != .ample { return refuse(answer, Self.diskIsFull) }
        let isQueued = blobLanes.run { [self] in
            guard takeUploadSeat() else { return answer(.failure(Self.overloaded)) }
            do {
                let writer = try blobs.begin()
                answer(.success(Upload(self, writer, request, identity)))
            } catch {
                returnUploadSeat()
                answer(.failure(blobFailure(error)))
            }
        }
        if !isQueued { refuse(answer, Self.overloaded) }
    }

    /// Opens a blob for one with a signed URL, or for its uploader.
    package func openBlob(_ access: BlobAccess, answer: @escaping Answer<any BlobPort>) {
        let id: BlobID
        var asker: UserID?
        var expiresAtMs: Milliseconds?
        switch access {
        case .signed(let blob, let expiry, let signature):
            guard signer.isGenuine(blob, expiresAtMs: expiry, signature: signature),
                expiry > seams.clock.wallMilliseconds()
            else {
                let error = ServiceError(
                    .permissionDenied, "the URL has expired or is not ours: read the entry again")
                return refuse(answer, error)
            }
            id = blob
            expiresAtMs = expiry
        case .user(let blob, let identity):
            id = blob
            asker = identity.user
        }
        let (user, until) = (asker, expiresAtMs)
        read(fresh(id), answer) { [self] queries in
            guard let record = try queries.blob(id), user == nil || record.uploader == user,
                let hash = BlobHash(record.contentHash)
            else { throw ServiceError(.notFound, "no such blob") }
            guard blobs.contains(hash) else {
                throw ServiceError(.internal, "the blob's bytes are damaged; restore its volume")
            }
            return OpenBlob(self, hash, view(of: record), expiresAtMs: until)
        }
    }

    var tooLarge: ServiceError {
        ServiceError(.tooLarge, "media: at most \(configuration.limits.mediaBytes) bytes")
    }

    func view(of record: BlobRecord) -> BlobView {
        BlobView(
            blob: record.blob, url: signer.url(for: record.blob), size: record.size,
            type: record.type, contentHash: record.contentHash)
    }

    /// What a client is told when the blob store refuses.
    func blobFailure(_ error: any Error) -> ServiceError {
        if let error = error as? BlobError {
            if case .tooLong = error { return tooLarge }
            if case .dead = error { fail(.blobs(error)) }
            if case .disk(let disk) = error, disk.reason == .noSpace { return Self.diskIsFull }
        }
        return ServiceError(.internal, "see the server's log, incident \(report(error))")
    }

    private func takeUploadSeat() -> Bool {
        let (_, count) = uploadsUnderWay.add(1, ordering: .relaxed)
        if count <= NodeLimits.uploadsMax { return true }
        returnUploadSeat()
        return false
    }

    func returnUploadSeat() { uploadsUnderWay.subtract(1, ordering: .relaxed) }
}

/// One upload: pieces are hashed and written on a blob lane, one at a time.
private final class Upload: UploadPort {
    private struct State: ~Copyable {
        var digest = SHA256Stream()
        var isOver = false
    }

    private let node: ChatNode
    private let writer: BlobWriter
    private let request: UploadRequest
    private let identity: Identity
    private let state = Mutex(State())

    init(
        _ node: ChatNode, _ writer: BlobWriter, _ request: UploadRequest, _ identity: Identity
    ) {
        self.node = node
        self.writer = writer
        self.request = request
        self.identity = identity
    }

    deinit { abandon() }

    func append(_ bytes: [UInt8], answer: @escaping Answer<Void>) {
        onLane(answer) { [self] in
            guard writer.length + UInt64(bytes.count) <= node.configuration.limits.mediaBytes
            else { throw node.tooLarge }
            try writer.append(bytes)
            state.withLock { $0.digest.update(bytes) }
            answer(.success(()))
        }
    }

    func finish(answer: @escaping Answer<BlobView>) {
        onLane(answer) { [self] in
            let digest = state.withLock { state -> [UInt8]? in
                if state.isOver { return nil }
                state.isOver = true
                return state.digest.finish()
            }
            guard let digest, let hash = BlobHash(digest) else {
                throw ServiceError(.conflict, "the upload is over")
            }
            defer { node.returnUploadSeat() }
            if let claimed = request.contentHash, claimed != digest {
                writer.abandon()
                throw ServiceError(
                    .invalidArgument, "X-Content-SHA256: the content has another hash")
            }
            if let size = request.size, size != writer.length {
                writer.abandon()
                throw ServiceError(.invalidArgument, "Content-Length: the content has another size")
            }
            let size = writer.length
            _ = try writer.finish(as: hash)
            register(digest, size, answer)
        }
    }

    private func register(
        _ digest: [UInt8], _ size: UInt64, _ answer: @escaping Answer<BlobView>
    ) {
        let record = BlobRecord(
            blob: BlobID(hash: node.seams.random.bytes(16)), contentHash: digest,
            uploader: identity.user, type: request.type, size: size)
        node.propose(.registerBlob(record), orRefuse: answer) { [node] _ in
            answer(.success(node.view(of: record)))
        }
    }

    func abandon() {
        let wasUnderWay = state.withLock { state in
            defer { state.isOver = true }
            return !state.isOver
        }
        guard wasUnderWay else { return }
        node.returnUploadSeat()
        // Giving up removes a file; when the lanes are full, the writer's own end does it.
        _ = node.blobLanes.run { [writer] in writer.abandon() }
    }

    private func onLane<Value>(
        _ answer: @escaping Answer<Value>, _ body: @escaping @Sendable () throws -> Void
    ) {
        let isQueued = node.blobLanes.run { [node] in
            do {
                try body()
            } catch let error as ServiceError {
                answer(.failure(error))
            } catch {
                answer(.failure(node.blobFailure(error)))
            }
        }
        if !isQueued { node.refuse(answer, ChatNode.overloaded) }
    }
}

/// A blob that may be read: each piece is checked before it is shown.
private final class OpenBlob: BlobPort {
    /// Bytes of one answer at most.
    private static let pieceMax: UInt64 = 256 << 10

    let view: BlobView
    let expiresAtMs: Milliseconds?
    private let node: ChatNode
    private let hash: BlobHash

    init(_ node: ChatNode, _ hash: BlobHash, _ view: BlobView, expiresAtMs: Milliseconds?) {
        self.node = node
        self.hash = hash
        self.view = view
        self.expiresAtMs = expiresAtMs
    }

    func read(_ range: Range<UInt64>, answer: @escaping Answer<[UInt8]>) {
        let upper = min(range.upperBound, view.size)
        guard range.lowerBound <= upper, upper - range.lowerBound <= Self.pieceMax else {
            return node.refuse(
                answer, ServiceError(.rangeNotSatisfiable, "the blob has \(view.size) bytes"))
        }
        let isQueued = node.blobLanes.run { [node, hash] in
            do {
                let piece = range.lowerBound..<upper
                answer(.success(try node.blobs.bytes(hash, piece)))
            } catch {
                answer(.failure(node.blobFailure(error)))
            }
        }
        if !isQueued { node.refuse(answer, ChatNode.overloaded) }
    }
}

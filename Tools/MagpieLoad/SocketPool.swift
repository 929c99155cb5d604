import ChatModel
import MagpieClient
import NIOPosix
import Synchronization

/// At most so many live connections, one per user active now; the one unused longest makes room.
/// Whoever holds a connection holds one only, and there are never more holders than connections,
/// so nobody waits for ever.
actor SocketPool {
    private struct Slot {
        let socket: Socket
        var users: Int
        var lastUsed: UInt64
    }

    /// A connection and whether it has given up.
    final class Socket: Sendable {
        private let state = Mutex<(connection: ClientConnection?, isStopped: Bool)>((nil, false))

        /// The connection; set right after the socket was made.
        var connection: ClientConnection? { state.withLock { $0.connection } }
        fileprivate var isStopped: Bool { state.withLock { $0.isStopped } }
        fileprivate func hold(_ connection: ClientConnection) {
            state.withLock { $0.connection = connection }
        }
        fileprivate func markStopped() { state.withLock { $0.isStopped = true } }
    }

    private let context: LoadContext
    private let accounts: Accounts
    private let connectionsMax: Int
    private var slots: [Int: Slot] = [:]
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var uses: UInt64 = 0

    init(_ context: LoadContext, _ accounts: Accounts, connectionsMax: Int) {
        self.context = context
        self.accounts = accounts
        self.connectionsMax = connectionsMax
    }

    /// The user's connection, until ``release(_:)``.
    func acquire(_ user: Int) async -> ClientConnection {
        while true {
            uses += 1
            if var slot = slots[user], let connection = slot.socket.connection {
                if !slot.socket.isStopped || slot.users > 0 {
                    slot.users += 1
                    slot.lastUsed = uses
                    slots[user] = slot
                    return connection
                }
                drop(user)
            }
            if slots.count < connectionsMax || makeRoom() {
                let socket = open(user)
                guard let connection = socket.connection else { continue }
                slots[user] = Slot(socket: socket, users: 1, lastUsed: uses)
                return connection
            }
            await withCheckedContinuation { waiters.append($0) }
        }
    }

    /// The holder is done with the user's connection.
    func release(_ user: Int) {
        slots[user]?.users -= 1
        if !waiters.isEmpty { waiters.removeFirst().resume() }
    }

    /// Closes everything.
    func closeAll() {
        for user in slots.keys.sorted() { drop(user) }
    }

    private func open(_ user: Int) -> Socket {
        let socket = Socket()
        let connection = ClientConnection(
            addresses: context.addresses, token: accounts[user].token, options: context.options,
            on: context.group.next(), random: context.random
        ) { event in
            switch event {
            case .stopped, .tokenExpired: socket.markStopped()
            default: break
            }
        }
        socket.hold(connection)
        connection.start()
        return socket
    }

    private func makeRoom() -> Bool {
        let idle = slots.filter { $0.value.users == 0 }
        guard let oldest = idle.min(by: { $0.value.lastUsed < $1.value.lastUsed }) else {
            return false
        }
        drop(oldest.key)
        return true
    }

    private func drop(_ user: Int) {
        _ = slots.removeValue(forKey: user)?.socket.connection?.close()
    }
}

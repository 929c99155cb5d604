import ChatEngine
package import ChatModel
import Platform
import Secrets
package import Session

/// Accounts and sessions. Passwords are hashed on lanes of their own; what they make travels to the
/// log as a command.
extension ChatNode {
    /// Makes an account and signs its first device in.
    package func register(_ request: Registration, answer: @escaping Answer<SignedIn>) {
        if let objection = Names.objection(toUserName: request.username)
            ?? Names.objection(toPassword: request.password)
            ?? objection(toName: request.displayName ?? "", field: "displayName")
        {
            return refuse(answer, ServiceError(.invalidArgument, objection))
        }
        let user = Names.user(request.username)
        read(fresh(user), answer) { queries in
            if try queries.user(user) != nil {
                throw ServiceError(.conflict, "username: \(request.username) is taken")
            }
            return nil
        } then: { [self] in
            hash(answer) { [self] in
                let credential = PasswordHash.credential(
                    password: request.password,
                    salt: seams.random.bytes(PasswordHash.saltBytes),
                    cost: configuration.passwordCost)
                let displayName = request.displayName ?? ""
                let account = NewAccount(
                    user: user, name: request.username,
                    displayName: displayName.isEmpty ? request.username : displayName,
                    credential: credential, device: DeviceID(hash: seams.random.bytes(16)),
                    deviceName: deviceName(request.deviceName))
                propose(.createAccount(account), orRefuse: answer) { [self] _ in
                    signedIn(user, account.device, answer: answer)
                }
            }
        }
    }

    private static let tooManyTries = ServiceError(
        .rateLimited, "too many failed tries; wait a minute", retryAfterMs: 60_000)

    /// Checks a password and signs a new device in.
    package func signIn(_ request: SignInRequest, answer: @escaping Answer<SignedIn>) {
        let user = Names.user(request.username)
        // The id, not the name: what a stranger sends as a name has any length.
        let tries = "\(user) \(request.address)"
        let isLimited = configuration.limits.isRateLimited
        if isLimited, !failedSignIns.hasToken(tries, nowMs: seams.clock.wallMilliseconds()) {
            return refuse(answer, Self.tooManyTries)
        }
        read(fresh(user), answer) { [self] queries in
            let credential = try queries.credential(user)
            hash(answer) { [self] in
                // The token goes before the password is looked at: tries that wait here together
                // count one by one.
                let nowMs = seams.clock.wallMilliseconds()
                if isLimited, failedSignIns.take(tries, nowMs: nowMs) != nil {
                    return refuse(answer, Self.tooManyTries)
                }
                // A stranger costs as much time as a wrong password, so names cannot be probed.
                let isGood = PasswordHash.verify(
                    password: request.password, credential: credential ?? nobody)
                guard isGood, credential != nil else {
                    return refuse(
                        answer,
                        ServiceError(.unauthenticated, "user name and password do not match"))
                }
                if isLimited { failedSignIns.giveBack(tries) }
                let device = DeviceID(hash: seams.random.bytes(16))
                let command = Command.openDevice(
                    user: user, device: device, name: deviceName(request.deviceName))
                propose(command, orRefuse: answer) { [self] _ in
                    signedIn(user, device, answer: answer)
                }
            }
            return nil
        } then: {
        }
    }

    /// A new token for the same device.
    package func refresh(_ identity: Identity, answer: @escaping Answer<SignedIn>) {
        signedIn(identity.user, identity.device, answer: answer)
    }

    /// Signs a device of the asker out for good; answers once its token is refused.
    package func signOut(
        _ identity: Identity, device: DeviceID, answer: @escaping Answer<Void>
    ) {
        let command = Command.revokeDevice(user: identity.user, device: device)
        propose(command, orRefuse: answer) { _ in answer(.success(())) }
    }

    /// A ticket for one socket within a minute.
    package func issueTicket(_ identity: Identity, answer: @escaping Answer<Ticket>) {
        let ticket = tickets.issue(
            identity, random: seams.random.bytes(18), nowMs: monotonicMs,
            wallMs: seams.clock.wallMilliseconds(), lifeMs: configuration.limits.ticketMs)
        guard let ticket else { return refuse(answer, Self.overloaded) }
        later { answer(.success(ticket)) }
    }

    /// Whose token or ticket it is, when it is good and its device was not signed out.
    package func authenticate(_ proof: AuthProof, answer: @escaping Answer<Identity>) {
        let nowMs = seams.clock.wallMilliseconds()
        let identity =
            switch proof {
            case .token(let token): mint.identity(of: token, nowMs: nowMs)
            case .ticket(let ticket): tickets.use(ticket, nowMs: monotonicMs)
            }
        guard let identity else {
            return refuse(
                answer,
                ServiceError(.unauthenticated, "the token or ticket is not or no longer good"))
        }
        // A device that was signed out on any node is out on all of them at once.
        read(fresh(identity.user), answer) { queries in
            guard try queries.device(identity.user, identity.device) != nil else {
                throw ServiceError(.unauthenticated, "this device was signed out")
            }
            return identity
        }
    }

    /// Changes the asker's profile; a new password needs the current one.
    package func updateProfile(
        _ identity: Identity, _ request: ProfileRequest, answer: @escaping Answer<UserView>
    ) {
        if let objection = objection(toName: request.displayName ?? "", field: "displayName")
            ?? request.password.flatMap(Names.objection(toPassword:))
        {
            return refuse(answer, ServiceError(.invalidArgument, objection))
        }
        if let avatar = request.avatar, !avatar.isEmpty, BlobID(avatar) == nil {
            return refuse(answer, ServiceError(.invalidArgument, "avatar: no blob id"))
        }
        guard let password = request.password else {
            return change(identity, request, credential: nil, answer: answer)
        }
        read(fresh(identity.user), answer) { [self] queries in
            let current = try queries.credential(identity.user)
            hash(answer) { [self] in
                let tries = "\(identity.user) profile"
                let nowMs = seams.clock.wallMilliseconds()
                if failedSignIns.take(tries, nowMs: nowMs) != nil {
                    return refuse(answer, Self.tooManyTries)
                }
                guard let current, let given = request.currentPassword,
                    PasswordHash.verify(password: given, credential: current)
                else {
                    let error = ServiceError(
                        .permissionDenied, "currentPassword: does not match")
                    return refuse(answer, error)
                }
                failedSignIns.giveBack(tries)
                let credential = PasswordHash.credential(
                    password: password, salt: seams.random.bytes(PasswordHash.saltBytes),
                    cost: configuration.passwordCost)
                change(identity, request, credential: credential, answer: answer)
            }
            return nil
        } then: {
        }
    }

    private func change(
        _ identity: Identity, _ request: ProfileRequest, credential: [UInt8]?,
        answer: @escaping Answer<UserView>
    ) {
        let change = ProfileChange(
            displayName: request.displayName, avatar: request.avatar, credential: credential,
            isLastSeenVisible: request.isLastSeenVisible)
        let command = Command.updateProfile(user: identity.user, change: change)
        propose(command, orRefuse: answer) { [self] _ in
            read(.any, answer) { queries in
                guard let user = try queries.user(identity.user) else {
                    throw ServiceError(.notFound, "no such user")
                }
                return user
            }
        }
    }

    private var monotonicMs: Milliseconds { seams.clock.monotonicNanoseconds() / 1_000_000 }

    private func signedIn(_ user: UserID, _ device: DeviceID, answer: @escaping Answer<SignedIn>) {
        let expiresAtMs = seams.clock.wallMilliseconds() + configuration.limits.tokenMs
        let identity = Identity(user: user, device: device, expiresAtMs: expiresAtMs)
        read(fresh(user), answer) { [mint] queries in
            guard let view = try queries.user(user) else {
                throw ServiceError(.notFound, "no such user")
            }
            return SignedIn(
                user: view, device: device, token: mint.token(for: identity),
                expiresAtMs: expiresAtMs)
        }
    }

    private func objection(toName name: String, field: String) -> String? {
        let most = configuration.limits.nameBytes
        return name.utf8.count <= most ? nil : "\(field): at most \(most) bytes"
    }

    private func deviceName(_ name: String) -> String {
        var short = name
        while short.utf8.count > configuration.limits.nameBytes { short.removeLast() }
        return short
    }
}

import ChatModel
import LSMTree

/// Accounts and devices.
extension Applier {
    /// Devices of one user; opening one more revokes the oldest.
    static var devicesMax: Int { 64 }
    /// Bytes of an avatar: a blob id as text, or nothing.
    static var avatarBytesMax: Int { 64 }

    mutating func createAccount(_ account: NewAccount) throws -> CommandResult {
        if let profile: ProfileRow = try rows.row(.accounts, KeySchema.profile(account.user)) {
            // The credential has a salt made for the request, so equal bytes are the same request.
            let credential = try rows.get(.accounts, KeySchema.credential(account.user))
            guard profile.name == account.name, credential == account.credential else {
                throw ServiceError(.conflict, "username: is taken")
            }
            return .done
        }
        try checkName(account.displayName, "displayName")
        try checkName(account.deviceName, "device")
        let profile = ProfileRow(name: account.name, displayName: account.displayName)
        rows.put(.accounts, KeySchema.profile(account.user), profile)
        rows.put(.accounts, KeySchema.credential(account.user), account.credential)
        rows.put(
            .accounts, KeySchema.device(account.user, account.device),
            DeviceRow(createdAtMs: stampMs, name: account.deviceName))
        return .done
    }

    mutating func openDevice(
        _ user: UserID, _ device: DeviceID, name: String
    ) throws -> CommandResult {
        _ = try profile(user)
        try checkName(name, "device")
        var others: [(id: DeviceID, row: DeviceRow)] = []
        var existing: DeviceRow?
        for (id, row) in try rows.devices(user) {
            if id == device { existing = row } else { others.append((id, row)) }
        }
        if existing == nil, others.count >= Self.devicesMax {
            // Ascending ids before a stable order by age: equal ages fall to the smaller id.
            others.sort { ($0.row.createdAtMs, $0.id) < ($1.row.createdAtMs, $1.id) }
            for (id, _) in others.prefix(others.count - Self.devicesMax + 1) { revoke(user, id) }
        }
        let row = DeviceRow(createdAtMs: existing?.createdAtMs ?? stampMs, name: name)
        if row != existing { rows.put(.accounts, KeySchema.device(user, device), row) }
        return .done
    }

    mutating func revokeDevice(_ user: UserID, _ device: DeviceID) throws -> CommandResult {
        guard try rows.get(.accounts, KeySchema.device(user, device)) != nil else {
            throw ServiceError(.notFound, "no such device")
        }
        revoke(user, device)
        return .done
    }

    private mutating func revoke(_ user: UserID, _ device: DeviceID) {
        rows.delete(.accounts, KeySchema.device(user, device))
        events.append(.deviceRevoked(user: user, device: device))
    }

    mutating func updateProfile(
        _ user: UserID, _ change: ProfileChange
    ) throws -> CommandResult {
        let before = try profile(user)
        var after = before
        if let displayName = change.displayName {
            try checkName(displayName, "displayName")
            after.displayName = displayName
        }
        if let avatar = change.avatar {
            guard avatar.utf8.count <= Self.avatarBytesMax else {
                throw ServiceError(.invalidArgument, "avatar: not a blob id")
            }
            after.avatar = avatar
        }
        if let isVisible = change.isLastSeenVisible { after.isLastSeenVisible = isVisible }
        if after != before { rows.put(.accounts, KeySchema.profile(user), after) }
        if let credential = change.credential {
            rows.put(.accounts, KeySchema.credential(user), credential)
        }
        return .done
    }

    /// Last seen never goes back, and is never in the future.
    mutating func setLastSeen(_ user: UserID, atMs: Milliseconds) throws -> CommandResult {
        let key = KeySchema.lastSeen(user)
        let before = try rows.row(.presence, key, NumberRow.self)?.value ?? 0
        let after = min(atMs, stampMs)
        if after > before { rows.put(.presence, key, NumberRow(after)) }
        return .done
    }

    private func profile(_ user: UserID) throws -> ProfileRow {
        guard let row: ProfileRow = try rows.row(.accounts, KeySchema.profile(user)) else {
            throw ServiceError(.notFound, "no such user")
        }
        return row
    }

    private func checkName(_ name: String, _ field: String) throws {
        if name.utf8.count > limits.nameBytes {
            throw ServiceError(.invalidArgument, "\(field): more than \(limits.nameBytes) bytes")
        }
    }
}

extension RowView {
    /// A user's devices, ascending by id.
    func devices(_ user: UserID) throws -> [(id: DeviceID, row: DeviceRow)] {
        var devices: [(id: DeviceID, row: DeviceRow)] = []
        let prefix = KeySchema.devices(user)
        try scan(.accounts, prefix: prefix) { rest, value in
            let key = prefix + [UInt8](rest)
            guard let id = DeviceID(bytes: rest) else {
                throw EngineError.corruptRow(
                    keyspace: Keyspace.accounts.rawValue, key: key, found: "a key's length")
            }
            let row = try decode(.accounts, key) { try DeviceRow(decoding: [UInt8](value)) }
            devices.append((id, row))
            return true
        }
        return devices
    }
}

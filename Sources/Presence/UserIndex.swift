import Bytes
import ChatModel

/// Record numbers by user: open addressing with linear probing, four bytes a place.
///
/// The top bits of the hash choose one of 256 segments, and each segment doubles by itself, so
/// that growing never touches more than a 256th of the table. Removal shifts followers back
/// (Knuth, volume 3, 6.4 algorithm R) and leaves no tombstones.
struct UserIndex {
    private struct Segment {
        /// Record number + 1; 0 is empty.
        var places = [UInt32](repeating: 0, count: 8)
        var count = 0
    }

    private var segments = [Segment](repeating: Segment(), count: 256)

    static func hash(_ user: UserID) -> UInt64 {
        SplitMix64.mix(user.high ^ SplitMix64.mix(user.low))
    }

    /// The user's record number; `user(number)` tells whose a record is.
    func find(_ user: UserID, _ owner: (UInt32) -> UserID) -> UInt32? {
        let hash = Self.hash(user)
        let segment = Int(hash >> 56)
        let mask = segments[segment].places.count - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while true {
            let number = segments[segment].places[place]
            if number == 0 { return nil }
            if owner(number - 1) == user { return number - 1 }
            place = (place + 1) & mask
        }
    }

    /// Adds a user that is not there.
    mutating func insert(_ user: UserID, _ number: UInt32, _ owner: (UInt32) -> UserID) {
        let hash = Self.hash(user)
        let segment = Int(hash >> 56)
        if (segments[segment].count + 1) * 5 > segments[segment].places.count * 4 {
            grow(segment, owner)
        }
        Self.put(number + 1, hash, &segments[segment].places)
        segments[segment].count += 1
    }

    /// Takes a user away that is there.
    mutating func remove(_ user: UserID, _ owner: (UInt32) -> UserID) {
        let hash = Self.hash(user)
        let segment = Int(hash >> 56)
        let mask = segments[segment].places.count - 1
        var hole = Int(truncatingIfNeeded: hash) & mask
        while true {
            let number = segments[segment].places[hole]
            precondition(number != 0, "the user to remove must be in the index")
            if owner(number - 1) == user { break }
            hole = (hole + 1) & mask
        }
        segments[segment].count -= 1
        var place = hole
        while true {
            place = (place + 1) & mask
            let number = segments[segment].places[place]
            if number == 0 { break }
            let home = Int(truncatingIfNeeded: Self.hash(owner(number - 1))) & mask
            // The follower may move into the hole unless its home lies after the hole.
            if (place - home) & mask >= (place - hole) & mask {
                segments[segment].places[hole] = number
                hole = place
            }
        }
        segments[segment].places[hole] = 0
    }

    private mutating func grow(_ segment: Int, _ owner: (UInt32) -> UserID) {
        let old = segments[segment].places
        var places = [UInt32](repeating: 0, count: old.count * 2)
        for number in old where number != 0 {
            Self.put(number, Self.hash(owner(number - 1)), &places)
        }
        segments[segment].places = places
    }

    private static func put(_ number: UInt32, _ hash: UInt64, _ places: inout [UInt32]) {
        let mask = places.count - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while places[place] != 0 { place = (place + 1) & mask }
        places[place] = number
    }
}

/// How much data a run takes, and what is sensible at that size.
enum SearchSize: String, CaseIterable {
    /// The corpus as it is.
    case small = "S"
    /// 600,000 messages.
    case medium = "M"
    /// 5,000,000 messages.
    case large = "L"

    /// Messages that are made of the corpus; nil: it stays as it is.
    var messages: Int? {
        switch self {
        case .small: nil
        case .medium: 600_000
        case .large: 5_000_000
        }
    }

    /// Queries of each class.
    var queries: Int { self == .large ? 10 : 20 }

    /// Queries of each class and filter whose hits are compared with a scan's; those without a
    /// filter are compared all.
    var checked: Int { self == .large ? 2 : .max }
}

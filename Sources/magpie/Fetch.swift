import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Small HTTP calls of the operator's commands.
enum Fetch {
    struct Answer: Sendable {
        let status: Int
        let body: Data
    }

    /// GETs, or POSTs an empty body; nil when nobody answers.
    static func get(_ url: URL, method: String = "GET") async -> Answer? {
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.timeoutInterval = 10
        guard let (body, response) = try? await URLSession.shared.data(for: request),
            let http = response as? HTTPURLResponse
        else { return nil }
        return Answer(status: http.statusCode, body: body)
    }
}

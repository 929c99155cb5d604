import ChatModel
import Hummingbird
import HummingbirdCore
import Session
import WireProtocol

/// The search over what the asker may read.
extension Routes {
    var searchCalls: [Call] { [Call(.get, "/v1/search", search)] }

    @Sendable private func search(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let form = FormQuery(request.uri.query)
        var fields = SearchFields()
        fields.text = form["q"] ?? ""
        fields.conversation = form["conversation"] ?? ""
        fields.from = form["from"] ?? ""
        fields.beforeMs = try number(request, "beforeMs")
        fields.afterMs = try number(request, "afterMs")
        fields.has = form.all("has")
        fields.sort = form["sort"] ?? ""
        fields.limit = try number(request, "limit")
        fields.cursor = form["cursor"] ?? ""
        if let offset = form["utcOffsetMinutes"], !offset.isEmpty {
            guard let minutes = Int64(offset) else {
                throw ServiceError(
                    .invalidArgument, "utcOffsetMinutes: is not a whole number")
            }
            fields.utcOffsetMinutes = minutes
        }
        let query = try fields.query()
        let results = try await answer { node.search(query, for: identity, answer: $0) }
        return reply(request) { $0.results(results) }
    }
}

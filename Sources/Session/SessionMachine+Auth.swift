import ChatModel

/// From the open socket to a known user.
extension SessionMachine {
    mutating func takeProof(_ proof: AuthProof, _ resume: Resume?, id: String?) {
        guard stage == .greeted else {
            refuse(id, .invalidArgument, "this socket has had its auth")
            return
        }
        if let resume, resume.have.count > facts.limits.haveMax {
            refuse(
                id, .invalidArgument,
                "resume.have names at most \(facts.limits.haveMax) conversations")
            return
        }
        stage = .authenticating
        self.resume = ResumeState(resume, epoch: facts.epoch, authID: id)
        ask(.authenticate(proof), .proof(id: id))
    }

    mutating func tookProof(_ answer: SessionAnswer, id: String?) {
        switch answer {
        case .identity(let identity):
            guard identity.expiresAtMs > moment.wallMs else {
                refuse(id, .unauthenticated, "the token has expired")
                close(.tokenExpired)
                return
            }
            self.identity = identity
            stage = .resuming
            presenceMs = moment.nowMs
            // First the ear, then the question: what happens between the two is heard.
            tell(.attach(identity))
            beginResume(identity)
        case .failure(let error):
            send(.error(error), id: id)
            switch error.code {
            case .unauthenticated, .invalidArgument, .notFound: close(.authFailed)
            case .permissionDenied: close(.accountDisabled)
            case .rateLimited: close(.rateLimited, waitMs: error.retryAfterMs ?? bounds.comeBackMs)
            default: close(.internal, waitMs: error.retryAfterMs ?? bounds.comeBackMs)
            }
        default: close(.internal, waitMs: bounds.comeBackMs)
        }
    }
}

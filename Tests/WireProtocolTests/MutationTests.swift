import Bytes
import ChatModel
import Testing
import WireProtocol

@Suite("Bytes gone wrong never trap")
struct MutationTests {
    @Test("10,000 mutations of frames and bodies are read or refused", arguments: [1, 2])
    func mutations(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var good = 0
        var refused = 0
        for _ in 0..<5_000 {
            let encoding = WireEncoding.allCases[Int(random.next() % 2)]
            let isClient = random.next() % 2 == 0
            var bytes =
                isClient
                ? ClientFrameEncoder.encode(pick(WireSamples.clientFrames, &random), encoding)
                : ServerFrameEncoder.encode(
                    pick(WireSamples.serverFrames, &random), id: "i", encoding,
                    links: SampleLinks())
            mutate(&bytes, &random)
            if isClient {
                do throws(RejectedFrame) {
                    _ = try ClientFrameDecoder.decode(bytes, encoding, Limits())
                    good += 1
                } catch {
                    // Text can't grow past its limit here, so shape is the only fault.
                    #expect(error.error.code == .invalidArgument, "seed \(seed)")
                    refused += 1
                }
            } else {
                do throws(ServiceError) {
                    _ = try ServerFrameDecoder.decode(bytes, encoding)
                    good += 1
                } catch {
                    refused += 1
                }
            }
            _ = try? HTTPBodyDecoder.profile(bytes, encoding, Limits())
            _ = try? HTTPAnswerDecoder.page(bytes, encoding)
            _ = try? HTTPAnswerDecoder.results(bytes, encoding)
        }
        // Both outcomes occur, or the test would show nothing.
        #expect(good > 50 && refused > 500, "seed \(seed): \(good) good, \(refused) refused")
    }

    private func pick<Element>(_ all: [Element], _ random: inout SplitMix64) -> Element {
        all[Int(random.next() % UInt64(all.count))]
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        for _ in 0...(random.next() % 4) {
            guard !bytes.isEmpty else { return }
            let index = Int(random.next() % UInt64(bytes.count))
            switch random.next() % 6 {
            case 0: bytes[index] ^= 1 << UInt8(random.next() % 8)
            case 1: bytes[index] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(pick(Array(#"{}[]":,\-0e"#.utf8), &random), at: index)
            case 4: bytes.removeSubrange(index...)
            default:
                let end = min(bytes.count, index + Int(random.next() % 16))
                bytes.insert(contentsOf: bytes[index..<end], at: index)
            }
        }
    }
}

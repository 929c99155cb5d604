import Testing

@testable import MagpieDump

@Suite("Places")
struct PlacesTests {
    @Test("take paths apart")
    func splits() {
        #expect(Places.name("/a/b.sst") == "b.sst")
        #expect(Places.directory("/a/b.sst") == "/a")
        #expect(Places.directory("b.sst") == ".")
        #expect(Places.id("00000000000000ab.log", ending: ".log") == 0xAB)
        #expect(Places.id("ab.log", ending: ".log") == nil)
    }
}

#include "wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "quic_api.h"

namespace kwik::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

Bytes from_hex(const std::string& hex) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

Bytes ascii(const std::string& value) { return {value.begin(), value.end()}; }
std::string text(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

Bytes with_length(int length_bytes, const Bytes& body) {
    Bytes length;
    for (int i = length_bytes; i-- > 0;) length.push_back(static_cast<std::uint8_t>(body.size() >> 8 * i));
    return length + body;
}

// A copy in a heap block of exactly this size, so that AddressSanitizer sees a read of one byte too many.
class Exact {
public:
    explicit Exact(std::span<const std::uint8_t> bytes) : size_{bytes.size()}, data_{new std::uint8_t[bytes.size()]} { std::ranges::copy(bytes, data_.get()); }
    std::span<std::uint8_t> get() { return {data_.get(), size_}; }

private:
    std::size_t size_;
    std::unique_ptr<std::uint8_t[]> data_;
};

// ---- ClientHello

Bytes extension(std::uint16_t type, const Bytes& data) { return Bytes{static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type)} + with_length(2, data); }
Bytes server_name(const std::string& name) { return extension(0, with_length(2, Bytes{0} + with_length(2, ascii(name)))); }
Bytes alpn(const Bytes& list) { return extension(16, with_length(2, list)); }
const Bytes h3_and_kwik = with_length(1, ascii("h3")) + with_length(1, ascii("kwik/1"));

struct HelloParts {
    Bytes session_id{};
    Bytes cipher_suites{0x13, 0x01};
    Bytes compressions{0};
    Bytes extensions{};
    Bytes trailer{};
};

Bytes client_hello(const HelloParts& parts) {
    const Bytes body = Bytes{3, 3} + Bytes(32, 0xaa) + with_length(1, parts.session_id) + with_length(2, parts.cipher_suites) + with_length(1, parts.compressions) +
                       with_length(2, parts.extensions) + parts.trailer;
    return Bytes{1} + with_length(3, body);
}

const Bytes ordinary_hello = client_hello({.cipher_suites = {0x13, 1, 0x13, 2, 0x13, 3}, .extensions = extension(10, {0, 2, 0, 29}) + server_name("kwik.test") + alpn(h3_and_kwik) + extension(57, {1, 2, 3})});

HelloStatus read(const Bytes& bytes, ClientHello& hello) { return read_client_hello(bytes, hello); }
HelloStatus read(const Bytes& bytes) {
    ClientHello hello;
    return read(bytes, hello);
}

// The ClientHello of the CRYPTO frame in RFC 9001, A.2.
const Bytes rfc9001_hello = from_hex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d001700180010"
    "0007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d"
    "00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff");

TEST(ReadClientHello, Rfc9001Example) {
    ClientHello hello;
    ASSERT_EQ(read(rfc9001_hello, hello), HelloStatus::ok);
    EXPECT_EQ(hello.server_name, "example.com");
    EXPECT_EQ(text(hello.alpn_list), "\x04" "alpn");
}

TEST(ReadClientHello, ViewsPointIntoTheInput) {
    ClientHello hello;
    ASSERT_EQ(read(ordinary_hello, hello), HelloStatus::ok);
    EXPECT_EQ(hello.server_name, "kwik.test");
    EXPECT_EQ(text(hello.alpn_list), text(h3_and_kwik));
    EXPECT_GE(hello.alpn_list.data(), ordinary_hello.data());
    EXPECT_LE(hello.alpn_list.data() + hello.alpn_list.size(), ordinary_hello.data() + ordinary_hello.size());
}

TEST(ReadClientHello, BothExtensionsMayBeMissing) {
    ClientHello hello{"stale", h3_and_kwik};
    const Bytes bare = client_hello({});
    ASSERT_EQ(read(bare, hello), HelloStatus::ok);
    EXPECT_TRUE(hello.server_name.empty());
    EXPECT_TRUE(hello.alpn_list.empty());
}

TEST(ReadClientHello, IgnoresWhatFollowsTheMessage) { EXPECT_EQ(read(ordinary_hello + Bytes{0xff, 0xff}), HelloStatus::ok); }

TEST(ReadClientHello, EveryPrefixNeedsMoreAndLeavesTheResultAlone) {
    for (const Bytes& whole : {rfc9001_hello, ordinary_hello}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            Exact prefix{std::span{whole}.first(size)};
            ClientHello hello{"untouched", {}};
            ASSERT_EQ(read_client_hello(prefix.get(), hello), HelloStatus::need_more) << size;
            ASSERT_EQ(hello.server_name, "untouched");
        }
    }
}

TEST(ReadClientHello, EveryCutInsideTheMessageIsMalformed) {
    // Unlike a prefix: the header claims just the bytes that are there.
    for (std::size_t size = 4; size < ordinary_hello.size(); ++size) {
        Bytes cut{ordinary_hello.begin(), ordinary_hello.begin() + static_cast<std::ptrdiff_t>(size)};
        cut[1] = 0;
        cut[2] = static_cast<std::uint8_t>((size - 4) >> 8);
        cut[3] = static_cast<std::uint8_t>(size - 4);
        Exact exact{cut};
        ClientHello hello;
        ASSERT_EQ(read_client_hello(exact.get(), hello), HelloStatus::malformed) << size;
    }
}

TEST(ReadClientHello, RefusesOtherMessagesAtTheFirstByte) {
    for (const int type : {0, 2, 8, 11, 22, 255}) EXPECT_EQ(read(Bytes{static_cast<std::uint8_t>(type)}), HelloStatus::malformed);
}

TEST(ReadClientHello, RefusesAClaimedLengthAboveTheCapAtTheHeader) {
    const auto header = [](std::size_t length) { return Bytes{1, static_cast<std::uint8_t>(length >> 16), static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)}; };
    EXPECT_EQ(read(header(max_client_hello - 4)), HelloStatus::need_more);
    EXPECT_EQ(read(header(max_client_hello - 3)), HelloStatus::malformed);
    EXPECT_EQ(read(header(0xffffff)), HelloStatus::malformed);
    ClientHello hello;
    const Bytes largest = client_hello({.extensions = server_name("big") + extension(21, Bytes(max_client_hello - 4 - 43 - 16, 0))});
    ASSERT_EQ(largest.size(), max_client_hello);
    EXPECT_EQ(read(largest, hello), HelloStatus::ok);
    EXPECT_EQ(hello.server_name, "big");
}

TEST(ReadClientHello, RefusesBrokenFields) {
    EXPECT_EQ(read(client_hello({.session_id = Bytes(32, 1)})), HelloStatus::ok);
    EXPECT_EQ(read(client_hello({.session_id = Bytes(33, 1)})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.cipher_suites = {}})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.cipher_suites = {1, 2, 3}})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.compressions = {}})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.trailer = {0}})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.extensions = {0, 10, 0}})), HelloStatus::malformed);
    EXPECT_EQ(read(client_hello({.extensions = {0, 10, 0, 5, 1}})), HelloStatus::malformed);
}

TEST(ReadClientHello, RefusesBrokenServerNames) {
    const auto with = [](const Bytes& extensions) { return read(client_hello({.extensions = extensions})); };
    EXPECT_EQ(with(server_name(std::string(255, 'a'))), HelloStatus::ok);
    EXPECT_EQ(with(server_name(std::string(256, 'a'))), HelloStatus::malformed);
    EXPECT_EQ(with(server_name("")), HelloStatus::malformed);
    EXPECT_EQ(with(server_name(std::string("good.example\0.evil.example", 26))), HelloStatus::malformed);
    EXPECT_EQ(with(server_name("a") + server_name("a")), HelloStatus::malformed);
    EXPECT_EQ(with(extension(0, {})), HelloStatus::malformed);
    EXPECT_EQ(with(extension(0, {0, 0})), HelloStatus::malformed);
    EXPECT_EQ(with(extension(0, with_length(2, {0, 0, 1, 'a'}) + Bytes{0})), HelloStatus::malformed);
    EXPECT_EQ(with(extension(0, with_length(2, {0, 0, 2, 'a'}))), HelloStatus::malformed);
    EXPECT_EQ(with(extension(0, with_length(2, {0, 0, 1, 'a', 0, 0, 1, 'b'}))), HelloStatus::malformed);
    ClientHello hello;
    const Bytes unknown_type_first = client_hello({.extensions = extension(0, with_length(2, {7, 0, 1, 'x', 0, 0, 1, 'a'}))});
    EXPECT_EQ(read(unknown_type_first, hello), HelloStatus::ok);
    EXPECT_EQ(hello.server_name, "a");
}

TEST(ReadClientHello, RefusesBrokenAlpn) {
    const auto with = [](const Bytes& extensions) { return read(client_hello({.extensions = extensions})); };
    EXPECT_EQ(with(alpn(h3_and_kwik) + alpn(h3_and_kwik)), HelloStatus::malformed);
    EXPECT_EQ(with(alpn({})), HelloStatus::malformed);
    EXPECT_EQ(with(alpn({0})), HelloStatus::malformed);
    EXPECT_EQ(with(alpn({2, 'h', '3', 0})), HelloStatus::malformed);
    EXPECT_EQ(with(alpn({3, 'h', '3'})), HelloStatus::malformed);
    EXPECT_EQ(with(extension(16, with_length(2, {2, 'h', '3'}) + Bytes{0})), HelloStatus::malformed);
    EXPECT_EQ(with(extension(16, {0})), HelloStatus::malformed);
    EXPECT_EQ(with(alpn(with_length(1, Bytes(255, 'x')))), HelloStatus::ok);
}

// Whatever is read lies within the input and obeys the contract.
void check_hello(std::span<std::uint8_t> input) {
    ClientHello hello;
    if (read_client_hello(input, hello) != HelloStatus::ok) return;
    ASSERT_LE(hello.server_name.size(), 255u);
    ASSERT_EQ(hello.server_name.find('\0'), std::string_view::npos);
    for (std::size_t at = 0; at < hello.alpn_list.size(); at += 1 + hello.alpn_list[at]) {
        ASSERT_NE(hello.alpn_list[at], 0);
        ASSERT_LE(at + 1 + hello.alpn_list[at], hello.alpn_list.size());
    }
    for (const auto& [data, size] : {std::pair{reinterpret_cast<const std::uint8_t*>(hello.server_name.data()), hello.server_name.size()}, std::pair{hello.alpn_list.data(), hello.alpn_list.size()}}) {
        if (size == 0) continue;
        ASSERT_GE(data, input.data());
        ASSERT_LE(data + size, input.data() + input.size());
    }
}

TEST(ReadClientHello, SurvivesEveryFlippedBit) {
    for (const Bytes& whole : {rfc9001_hello, ordinary_hello}) {
        Exact input{whole};
        for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
            input.get()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
            check_hello(input.get());
            input.get()[bit / 8] = whole[bit / 8];
        }
    }
}

TEST(ReadClientHello, SurvivesRandomChanges) {
    std::mt19937 random{20260101};
    for (int round = 0; round < 50'000; ++round) {
        Bytes bytes = round % 2 ? rfc9001_hello : ordinary_hello;
        for (auto changes = 1 + random() % 6; changes > 0; --changes) bytes[4 + random() % (bytes.size() - 4)] = static_cast<std::uint8_t>(random());
        Exact input{bytes};
        check_hello(input.get());
    }
}

// ---- ALPN

TEST(SelectAlpn, PrefersTheFirstListsOrder) {
    const Bytes ours = with_length(1, ascii("b")) + with_length(1, ascii("a")), theirs = with_length(1, ascii("a")) + with_length(1, ascii("b"));
    EXPECT_EQ(text(select_alpn(ours, theirs)), "b");
    EXPECT_EQ(text(select_alpn(theirs, ours)), "a");
    EXPECT_EQ(select_alpn(ours, theirs).data(), ours.data() + 1);
}

TEST(SelectAlpn, MatchesWholeNamesOnly) {
    EXPECT_TRUE(select_alpn(with_length(1, ascii("h3")), with_length(1, ascii("h3-29"))).empty());
    EXPECT_TRUE(select_alpn(with_length(1, ascii("h3-29")), with_length(1, ascii("h3"))).empty());
    EXPECT_TRUE(select_alpn({}, h3_and_kwik).empty());
    EXPECT_TRUE(select_alpn(h3_and_kwik, {}).empty());
}

TEST(SelectAlpn, StopsWhereAListBreaks) {
    const Bytes broken = with_length(1, ascii("a")) + Bytes{9, 'h', '3'}, empty_name = Bytes{0} + with_length(1, ascii("h3"));
    EXPECT_EQ(text(select_alpn(broken, with_length(1, ascii("a")))), "a");
    EXPECT_TRUE(select_alpn(broken, with_length(1, ascii("h3"))).empty());
    EXPECT_TRUE(select_alpn(empty_name, with_length(1, ascii("h3"))).empty());
    EXPECT_TRUE(select_alpn(with_length(1, ascii("h3")), empty_name).empty());
}

// ---- Frames

struct Recorder final : FrameSink {
    void stop_sending(std::int64_t id, std::uint64_t code) noexcept override { log += "stop " + std::to_string(id) + " " + std::to_string(code) + ";"; }
    void reset_stream(std::int64_t id, std::uint64_t code, std::uint64_t size, std::size_t offset, std::size_t length) noexcept override {
        log += "reset " + std::to_string(id) + " " + std::to_string(code) + " " + std::to_string(size) + " at " + std::to_string(offset) + "+" + std::to_string(length) + ";";
    }
    void stream_fin(std::int64_t id) noexcept override { log += "fin " + std::to_string(id) + ";"; }
    void connection_close(bool application, std::uint64_t code) noexcept override { log += (application ? "app " : "close ") + std::to_string(code) + ";"; }
    std::string log;
};

std::string scan(const Bytes& payload) {
    Exact exact{payload};
    Recorder recorder;
    const bool ok = scan_frames(exact.get(), recorder);
    return recorder.log + (ok ? "" : "malformed");
}

// Each frame of RFC 9000, 19 and RFC 9221, 4; `open` ones have no length and so must come last.
struct Sample {
    const char* name;
    Bytes bytes;
    std::string reported;
    bool open = false;
};

const std::vector<Sample> samples{
    {"PADDING", {0x00}, ""},
    {"PING", {0x01}, ""},
    {"ACK", {0x02, 0x40, 0x99, 0x05, 0x02, 0x03, 0x01, 0x01, 0x00, 0x02}, ""},
    {"ACK_ECN", {0x03, 0x09, 0x05, 0x01, 0x03, 0x01, 0x01, 0x07, 0x08, 0x09}, ""},
    {"RESET_STREAM", {0x04, 0x0b, 0x41, 0x00, 0x80, 0x01, 0x00, 0x00}, "reset 11 256 65536 at 0+8;"},
    {"STOP_SENDING", {0x05, 0x04, 0x7b, 0xbd}, "stop 4 15293;"},
    {"CRYPTO", {0x06, 0x00, 0x03, 1, 2, 3}, ""},
    {"NEW_TOKEN", {0x07, 0x02, 9, 9}, ""},
    {"STREAM", {0x08, 0x05, 1, 2, 3}, "", true},
    {"STREAM FIN", {0x09, 0x05, 1, 2, 3}, "fin 5;", true},
    {"STREAM LEN", {0x0a, 0x05, 0x02, 1, 2}, ""},
    {"STREAM LEN FIN", {0x0b, 0x05, 0x00}, "fin 5;"},
    {"STREAM OFF", {0x0c, 0x05, 0x44, 0x00, 1}, "", true},
    {"STREAM OFF FIN", {0x0d, 0x05, 0x44, 0x00}, "fin 5;", true},
    {"STREAM OFF LEN", {0x0e, 0x05, 0x10, 0x01, 1}, ""},
    {"STREAM OFF LEN FIN", {0x0f, 0x05, 0x10, 0x01, 1}, "fin 5;"},
    {"MAX_DATA", {0x10, 0x80, 0, 0, 1}, ""},
    {"MAX_STREAM_DATA", {0x11, 0x04, 0x80, 0, 0, 1}, ""},
    {"MAX_STREAMS bidirectional", {0x12, 0x03}, ""},
    {"MAX_STREAMS unidirectional", {0x13, 0x03}, ""},
    {"DATA_BLOCKED", {0x14, 0x03}, ""},
    {"STREAM_DATA_BLOCKED", {0x15, 0x03, 0x05}, ""},
    {"STREAMS_BLOCKED bidirectional", {0x16, 0x03}, ""},
    {"STREAMS_BLOCKED unidirectional", {0x17, 0x03}, ""},
    {"NEW_CONNECTION_ID", Bytes{0x18, 0x02, 0x01, 0x04, 1, 2, 3, 4} + Bytes(16, 7), ""},
    {"RETIRE_CONNECTION_ID", {0x19, 0x01}, ""},
    {"PATH_CHALLENGE", Bytes{0x1a} + Bytes(8, 7), ""},
    {"PATH_RESPONSE", Bytes{0x1b} + Bytes(8, 7), ""},
    {"CONNECTION_CLOSE", {0x1c, 0x41, 0x2a, 0x06, 0x03, 'b', 'y', 'e'}, "close 298;"},
    {"CONNECTION_CLOSE application", {0x1d, 0x07, 0x00}, "app 7;"},
    {"HANDSHAKE_DONE", {0x1e}, ""},
    {"DATAGRAM", {0x30, 1, 2, 3}, "", true},
    {"DATAGRAM LEN", {0x31, 0x02, 1, 2}, ""},
};

TEST(ScanFrames, KnowsEveryFrame) {
    for (const Sample& sample : samples) {
        SCOPED_TRACE(sample.name);
        EXPECT_EQ(scan(sample.bytes), sample.reported);
        const std::string after = sample.open ? "" : "stop 1 2;";
        EXPECT_EQ(scan(sample.bytes + Bytes{0x05, 0x01, 0x02}), sample.reported + after);
    }
}

TEST(ScanFrames, EveryCutIsMalformed) {
    for (const Sample& sample : samples) {
        SCOPED_TRACE(sample.name);
        for (std::size_t size = 1; size < sample.bytes.size(); ++size) {
            // A frame that lasts to the end of the packet may end anywhere after its header.
            const std::size_t header = sample.bytes[0] == 0x30 ? 1 : sample.bytes[0] & 0x04 ? 4 : 2;
            const bool whole = sample.open && size >= header;
            const std::string result = scan(Bytes{sample.bytes.begin(), sample.bytes.begin() + static_cast<std::ptrdiff_t>(size)});
            EXPECT_EQ(result, whole ? sample.reported : "malformed") << size;
        }
    }
}

TEST(ScanFrames, AllClosedFramesInOnePacket) {
    Bytes payload;
    std::string expected;
    for (const Sample& sample : samples) {
        if (sample.open) continue;
        if (sample.bytes[0] == 0x04) expected += "reset 11 256 65536 at " + std::to_string(payload.size()) + "+8;";
        else expected += sample.reported;
        payload = payload + sample.bytes;
    }
    EXPECT_EQ(scan(payload), expected);
}

TEST(ScanFrames, AnEmptyPayloadAndPaddingAlone) {
    EXPECT_EQ(scan({}), "");
    EXPECT_EQ(scan(Bytes(1200, 0)), "");
    EXPECT_EQ(scan(Bytes(1200, 0) + Bytes{0x05, 0x01, 0x02}), "stop 1 2;");
}

TEST(ScanFrames, ReadsVarintsOfEachLength) {
    // The examples of RFC 9000, A.1.
    EXPECT_EQ(scan(Bytes{0x05} + from_hex("c2197c5eff14e88c") + from_hex("9d7f3e7d")), "stop 151288809941952652 494878333;");
    EXPECT_EQ(scan(Bytes{0x05} + from_hex("7bbd") + from_hex("25")), "stop 15293 37;");
    EXPECT_EQ(scan(Bytes{0x05} + from_hex("4025") + from_hex("ffffffffffffffff")), "stop 37 4611686018427387903;");
}

TEST(ScanFrames, RefusesUnknownTypes) {
    for (unsigned type = 0; type < 256; ++type) {
        const bool known = type <= 0x1e || type == 0x30 || type == 0x31;
        if (!known) {
            EXPECT_EQ(scan(Bytes{static_cast<std::uint8_t>(type)} + Bytes(64, 0)), "malformed") << type;
        }
    }
}

TEST(ScanFrames, ReportsWhatCameBeforeTheBreak) { EXPECT_EQ(scan({0x05, 0x01, 0x02, 0x05, 0x01}), "stop 1 2;malformed"); }

TEST(ScanFrames, DoesNotBelieveLargeCounts) {
    EXPECT_EQ(scan(Bytes{0x02, 0x01, 0x01} + from_hex("ffffffffffffffff") + Bytes(32, 0)), "malformed");
    EXPECT_EQ(scan(Bytes{0x06, 0x00} + from_hex("ffffffffffffffff") + Bytes(32, 0)), "malformed");
    EXPECT_EQ(scan(Bytes{0x1d, 0x00} + from_hex("ffffffffffffffff")), "malformed");
    EXPECT_EQ(scan(Bytes{0x02, 0x01, 0x01} + from_hex("80000010") + Bytes{0x00} + Bytes(32, 0)), "");
    EXPECT_EQ(scan(Bytes{0x02, 0x01, 0x01} + from_hex("80000011") + Bytes{0x00} + Bytes(32, 0)), "malformed");
}

TEST(ScanFrames, ChecksTheLengthOfANewConnectionId) {
    for (const unsigned length : {0u, 1u, 20u, 21u}) {
        const Bytes frame = Bytes{0x18, 0x02, 0x01, static_cast<std::uint8_t>(length)} + Bytes(length, 1) + Bytes(16, 7);
        EXPECT_EQ(scan(frame), length >= 1 && length <= 20 ? "" : "malformed") << length;
    }
}

TEST(ScanFrames, SurvivesEveryFlippedBit) {
    Bytes payload;
    for (const Sample& sample : samples) {
        if (!sample.open) payload = payload + sample.bytes;
    }
    Exact input{payload};
    for (std::size_t bit = 0; bit < 8 * payload.size(); ++bit) {
        input.get()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
        Recorder recorder;
        static_cast<void>(scan_frames(input.get(), recorder));
        input.get()[bit / 8] = payload[bit / 8];
    }
    Recorder recorder;
    EXPECT_TRUE(scan_frames(input.get(), recorder));
}

TEST(ScanFrames, SurvivesRandomBytes) {
    struct Checker final : FrameSink {
        void reset_stream(std::int64_t id, std::uint64_t, std::uint64_t size, std::size_t offset, std::size_t length) noexcept override {
            inside &= offset + length <= payload_size;
            write_fin_over_reset(payload.subspan(offset, length), id, size);
            ++rewritten;
        }
        void stop_sending(std::int64_t id, std::uint64_t) noexcept override { inside &= id >= 0; }
        std::span<std::uint8_t> payload;
        std::size_t payload_size = 0;
        int rewritten = 0;
        bool inside = true;
    };
    std::mt19937 random{20260102};
    int rewritten = 0;
    for (int round = 0; round < 100'000; ++round) {
        Bytes bytes(random() % 80);
        // Mostly small numbers: known types and short lengths, so that the walk gets far.
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() % 4 ? random() % 0x20 : random());
        Exact input{bytes};
        Checker checker;
        checker.payload = input.get();
        checker.payload_size = bytes.size();
        static_cast<void>(scan_frames(input.get(), checker));
        ASSERT_TRUE(checker.inside) << round;
        rewritten += checker.rewritten;
    }
    EXPECT_GT(rewritten, 1000);
}

// ---- RESET_STREAM shown as FIN

Bytes varint(std::uint64_t value, int length) {
    Bytes bytes;
    for (int i = length; i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    bytes[0] |= static_cast<std::uint8_t>((length == 8 ? 3 : length == 4 ? 2 : length == 2 ? 1 : 0) << 6);
    return bytes;
}

TEST(WriteFinOverReset, FitsWhateverTheWidths) {
    for (const int width : {1, 2, 4, 8}) {
        for (const std::uint64_t value : {0ull, 63ull, 64ull, 16383ull, 16384ull, 1073741823ull, 1073741824ull, 4611686018427387903ull}) {
            if (width < 8 && value >> (8 * width - 2)) continue;
            const std::int64_t id = static_cast<std::int64_t>(value);
            Exact frame{Bytes{0x04} + varint(value, width) + varint(5, 1) + varint(value, width)};
            write_fin_over_reset(frame.get(), id, value);
            Recorder recorder;
            EXPECT_TRUE(scan_frames(frame.get(), recorder));
            EXPECT_EQ(recorder.log, "fin " + std::to_string(id) + ";") << width;
        }
    }
}

TEST(WriteFinOverReset, WritesTheExactFrame) {
    Bytes frame{0x04, 0x40, 0x0b, 0x80, 0, 0, 9, 0x80, 0x01, 0x00, 0x00};
    write_fin_over_reset(frame, 11, 65536);
    EXPECT_EQ(frame, (Bytes{0x0f, 0x0b, 0x80, 0x01, 0x00, 0x00, 0x00, 0, 0, 0, 0}));
}

TEST(WriteFinOverReset, LeavesAFrameThatIsTooShort) {
    Bytes frame{0x04, 0x01, 0x02};
    write_fin_over_reset(frame, 1, 2);
    EXPECT_EQ(frame, (Bytes{0x04, 0x01, 0x02}));
}

// ---- The packet of unknown version

TEST(WriteUnknownVersionPacket, IsALongHeaderWithTheGivenDestination) {
    for (const std::size_t size : {0u, 12u, 20u}) {
        std::array<std::uint8_t, max_unknown_version_packet> buffer;
        const Bytes id(size, 0x77);
        const auto packet = write_unknown_version_packet(buffer, id);
        ngtcp2_version_cid decoded;
        // ngtcp2 asks for Version Negotiation only for datagrams of 1,200 bytes, so this one has no answer even if it were received.
        ASSERT_EQ(ngtcp2_pkt_decode_version_cid(&decoded, packet.data(), packet.size(), 12), NGTCP2_ERR_INVALID_ARGUMENT);
        Bytes datagram{packet.begin(), packet.end()};
        datagram.resize(1200);
        ASSERT_EQ(ngtcp2_pkt_decode_version_cid(&decoded, datagram.data(), datagram.size(), 12), NGTCP2_ERR_VERSION_NEGOTIATION);
        EXPECT_EQ(decoded.version & 0x0f0f0f0f, 0x0a0a0a0au);
        EXPECT_EQ(Bytes(decoded.dcid, decoded.dcid + decoded.dcidlen), id);
        EXPECT_EQ(decoded.scidlen, 0u);
    }
}

}  // namespace
}  // namespace kwik::test

// scan_frames, and write_fin_over_reset for each RESET_STREAM that it finds: what is written instead must fit its place and be read again as what it is.
#include <vector>

#include "fuzz.h"
#include "wire.h"

using namespace kwik;
using namespace kwik::fuzz;

namespace {

struct Reset { std::int64_t stream; std::uint64_t final_size; std::size_t offset, length; };

struct Sink final : FrameSink {
    void stop_sending(std::int64_t stream, std::uint64_t) noexcept override { check(stream); }
    void reset_stream(std::int64_t stream, std::uint64_t, std::uint64_t final_size, std::size_t offset, std::size_t length) noexcept override {
        check(stream);
        resets.push_back({stream, final_size, offset, length});
    }
    void stream_fin(std::int64_t stream) noexcept override {
        check(stream);
        fins.push_back(stream);
    }
    void connection_close(bool, std::uint64_t) noexcept override { ++others; }
    void check(std::int64_t stream) noexcept {
        require(stream >= 0 && stream < std::int64_t{1} << 62, "a stream id");
        ++others;
    }

    std::vector<Reset> resets;
    std::vector<std::int64_t> fins;
    int others = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> payload(data, data + size);
    payload.shrink_to_fit();
    Sink before;
    const bool whole = scan_frames(payload, before);
    for (const Reset& reset : before.resets) {
        require(reset.offset + reset.length <= size, "a reset lies within the payload");
        const std::span<std::uint8_t> frame = std::span(payload).subspan(reset.offset, reset.length);
        write_fin_over_reset(frame, reset.stream, reset.final_size);
        Sink alone;
        require(scan_frames(frame, alone), "what replaces a reset is whole");
        require(alone.resets.empty() && alone.fins == std::vector{reset.stream}, "a reset becomes an end of the same stream");
    }
    Sink after;
    require(scan_frames(payload, after) == whole, "what follows a reset is read as before");
    require(after.resets.empty() && after.fins.size() == before.fins.size() + before.resets.size(), "nothing else changes");
    return 0;
}

// The bytes of one stream between StreamSend and their acknowledgement.
//
// Shared by the application's threads (post) and the worker (everything else). Posted bytes are copied while the copies stay below the budget, and such a send is complete at once; beyond
// it, the application's memory is referred to and copied piece by piece as acknowledgements make room, so one stream never holds more than budget + max_overshoot bytes, however large
// the send. ngtcp2 keeps pointers into the copies for retransmission, so a copy never moves and lives until it is acknowledged or the stream is closed in ngtcp2.
//
//   acknowledged <= sent <= copied <= posted        (offsets in the stream)
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "abi.h"
#include "buffer_pool.h"
#include "quic_api.h"
#include "queue.h"

namespace kwik {

class SendBuffer {
public:
    static constexpr std::size_t max_overshoot = 256 * 1024;  // A send up to this size is copied whole when there is any budget left: it avoids waking the worker for the rest.

    enum class Posted {
        complete,     // Copied; SEND_COMPLETE is due now.
        outstanding,  // SEND_COMPLETE is due when take_completed() returns the context.
        closed,       // After FIN or cancel(): nothing was taken.
        no_memory,    // Nothing was taken.
    };

    // Any thread. A send with `fin` is the last. Buffers must stay valid until the send is complete. Concurrent posts are taken one after the other.
    [[nodiscard]] Posted post(std::span<const abi::Buffer> buffers, bool fin, void* context, std::uint64_t budget) noexcept;
    // Any thread: the end of the stream without data. False if it was closed before.
    [[nodiscard]] bool finish() noexcept;
    // Any thread: gives up all outstanding sends, which count as cancelled then, and takes no more; copies stay, ngtcp2 may still refer to them.
    void cancel() noexcept;
    // Any thread: the next of the outstanding sends that were completed or cancelled, in the order of their posts; false if there is none.
    [[nodiscard]] bool take_completed(void*& context, bool& canceled) noexcept;

    // The worker's side. ----------------------------------------------------------------------------------------

    // What may be sent next: at most `max` pieces from the sent offset, and whether FIN follows the last of them. Returns the number of pieces.
    struct Next { std::size_t count = 0; bool fin = false; bool anything = false; };
    Next peek(ngtcp2_vec* pieces, std::size_t max) noexcept;
    // `bytes` of what peek showed were taken by ngtcp2, and FIN with them.
    void sent(std::uint64_t bytes, bool fin) noexcept;
    // All bytes before `offset` were acknowledged: frees what lies wholly before it.
    void acknowledged(std::uint64_t offset) noexcept;
    // Copies from outstanding sends while the budget and the memory allow; the completed ones wait for take_completed(). Progress: there is something new to send.
    // Starved: outstanding sends wait for memory, and nothing is unacknowledged whose acknowledgement would be the moment to try again.
    enum class Refill { nothing, progress, starved };
    Refill refill(std::uint64_t budget) noexcept;
    // Frees all memory; only after ngtcp2 closed the stream or the connection.
    void clear() noexcept;

    bool fin_sent() const noexcept { return fin_sent_; }
    bool only_fin_left() noexcept;  // All bytes were sent, and FIN was not.
    bool is_closed() noexcept;
    bool has_outstanding() noexcept;
    std::uint64_t held_bytes() noexcept;  // Copied and not yet acknowledged, for tests.

private:
    struct Piece {
        BufferPool::Chunk memory;
        std::uint32_t length = 0;
        std::uint32_t spare() const noexcept { return static_cast<std::uint32_t>(memory.get_deleter().capacity) - length; }
    };
    struct Pending {
        std::vector<abi::Buffer> buffers;  // What is not copied yet, first buffer first.
        bool fin;
        void* context;
    };

    bool take_copy(std::span<const abi::Buffer> buffers, std::size_t length, std::vector<Piece>& pieces) noexcept;
    bool link(std::vector<Piece>&& pieces) noexcept;
    bool append_small(std::span<const abi::Buffer> buffers, std::size_t length) noexcept;
    std::uint64_t held() const noexcept { return copied_ - acked_; }

    std::mutex post_mutex_;  // Held for a whole post, so that posts keep their order while copying outside of mutex_.
    std::mutex mutex_;
    Queue<Piece> pieces_;        // Copies from first_ on.
    Queue<Pending> outstanding_;
    std::size_t completed_ = 0;  // How many of the outstanding ones, from the front, are over and only have to be reported.
    std::uint64_t first_ = 0;   // Offset of pieces_.front().
    std::uint64_t acked_ = 0;
    std::uint64_t copied_ = 0;
    std::uint64_t sent_ = 0;
    std::size_t cursor_ = 0;          // Index of the piece that holds sent_ ...
    std::uint32_t cursor_offset_ = 0; // ... and the place within it.
    bool closed_ = false;       // No more posts.
    bool canceled_ = false;
    bool fin_ = false;          // The end is known: FIN after copied_, once nothing is outstanding.
    bool fin_sent_ = false;
};

}  // namespace kwik

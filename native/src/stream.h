// One QUIC stream between the application's handle and ngtcp2.
//
// Worker state unless said otherwise. Sending:
//
//   none (peer's one-way stream)
//   open --FIN posted--> finishing --FIN acknowledged--> done (SEND_SHUTDOWN_COMPLETE, graceful)
//     `-------------------`--abort, STOP_SENDING, end of the connection--> done (not graceful)
//
// Receiving:
//
//   none (our one-way stream)
//   open --FIN received--> draining --everything consumed--> done (PEER_SEND_SHUTDOWN)
//     |                       `--abort by us--> done
//     |--RESET received--> done (PEER_SEND_ABORTED)
//     `--abort by us--> done, silently; the stream itself ends when the peer answers
//
// SHUTDOWN_COMPLETE follows when both are done or none and ngtcp2 has closed the stream, or at once with the flag IMMEDIATE, or with the connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "abi.h"
#include "object.h"
#include "receive_buffer.h"
#include "send_buffer.h"

namespace kwik {

class Connection;
struct EndCause;

class Stream final : public Actor, public Handle {
public:
    // A stream that the application opens (not started yet), or one that the peer opened.
    static Stream* open(Connection& connection, std::uint32_t open_flags, abi::StreamCallback callback, void* context) noexcept;
    static Stream* accept(Connection& connection, std::int64_t id) noexcept;

    // The application's side, any thread. ------------------------------------------------------------------------
    abi::Status start(std::uint32_t flags) noexcept;      // PENDING; INVALID_STATE if started; what open_status() of the connection says if that ended; OUT_OF_MEMORY.
    abi::Status shutdown(std::uint32_t flags, std::uint64_t error) noexcept;  // PENDING; INVALID_PARAMETER; OUT_OF_MEMORY.
    abi::Status send(std::span<const abi::Buffer> buffers, std::uint32_t flags, void* send_context) noexcept;  // PENDING; INVALID_STATE or ABORTED after the end; OUT_OF_MEMORY.
    abi::Status receive_set_enabled(bool enabled) noexcept;  // SUCCESS; OUT_OF_MEMORY.
    // Gives back the application's reference. After it returns there is no callback. It waits for the worker unless the stream's end was reported or this is the worker, and for other threads
    // that are in a callback of their own. Only within such a callback it waits for nobody, because they may wait for that one: then one that runs already may outlast it.
    void close() noexcept;
    // The calling thread is in a callback that it makes itself, from within StreamSend or StreamShutdown.
    static bool is_reporting() noexcept { return Reporting::depth > 0; }
    void set_callback(abi::StreamCallback callback, void* new_context) noexcept { callback_ = callback; context = new_context; }
    bool get_id(std::uint64_t& out) const noexcept;  // False before the id is known.

    // The connection's side, on the worker. ----------------------------------------------------------------------
    bool is_unidirectional() const noexcept { return (open_flags_ & abi::open_unidirectional) != 0; }
    bool is_local() const noexcept { return local_; }
    std::int64_t id() const noexcept { return id_; }
    std::uint64_t cancel_error() const noexcept { return abort_error_; }

    // Start. The id is predicted (and final) when the stream has to wait for the peer's limit.
    void on_opened(std::int64_t id) noexcept;               // It exists in ngtcp2 now.
    void on_started(std::int64_t id, bool opened) noexcept; // START_COMPLETE, before or after on_opened.
    void on_start_failed(abi::Status status) noexcept;
    bool is_cancelled() const noexcept { return ended_; }
    bool is_opened() const noexcept { return opened_; }

    // ngtcp2's callbacks: they only record. Events follow from deliver().
    bool on_data(std::span<const std::uint8_t> bytes, bool fin) noexcept;  // False: out of memory.
    void on_reset(std::uint64_t error) noexcept;
    void on_early_reset(std::uint64_t error) noexcept { early_reset_ = true; on_reset(error); }  // ngtcp2 was shown an end without the data.
    void on_acknowledged(std::uint64_t offset) noexcept;
    void on_quic_closed() noexcept;
    void on_unblocked() noexcept;
    // What the frame scanner saw.
    void on_stop_sending(std::uint64_t error) noexcept;
    void on_fin_seen() noexcept;

    // Everything that is due: events, credit, the end. May run the application's code, which may call any API function.
    void deliver() noexcept;
    void on_connection_ended(const EndCause& cause) noexcept;
    void execute(Command& command) noexcept override;

    // Sending, called by Connection::flush between ngtcp2 calls.
    SendBuffer& outgoing() noexcept { return outgoing_; }
    Stream* next_queued = nullptr;   // For the connection's chains.
    Stream* next_ending = nullptr;
    Stream* next_touched = nullptr;
    bool queued = false;    // In the connection's list of streams with something to send.
    bool ending = false;    // In the connection's list of streams with nothing but FIN to send.
    bool touched = false;   // In the connection's list of streams with something to deliver.
    bool announced = false; // The application knows the stream.

    Connection& connection() noexcept { return *connection_; }
    // PEER_STREAM_STARTED; false if the application refused.
    bool announce() noexcept;

private:
    enum Op : std::uint32_t { op_start, op_shutdown, op_send, op_receive_enable, op_close };
    enum class Send { none, open, finishing, done };
    enum class Receive { none, open, draining, done };

    Stream(Connection& connection, std::uint32_t open_flags, bool local, abi::StreamCallback callback) noexcept;
    ~Stream() override = default;

    // While a thread may be in a callback that it makes itself.
    class Reporting {
    public:
        explicit Reporting(Stream& stream) noexcept : stream_(stream) {
            ++depth;
            stream_.retain();
            stream_.reporting_.fetch_add(1);
        }
        ~Reporting() {
            --depth;
            if (stream_.reporting_.fetch_sub(1) == 1) stream_.reporting_.notify_all();
            stream_.release();
        }
        Reporting(const Reporting&) = delete;
        Reporting& operator=(const Reporting&) = delete;

        static inline thread_local unsigned depth = 0;  // Of this thread, for all streams: such a callback may send on another one.

    private:
        Stream& stream_;
    };

    void await_reports() noexcept;  // Until no other thread is Reporting.
    abi::Status indicate(abi::StreamEvent& event) noexcept;
    void apply_shutdown(std::uint32_t flags, std::uint64_t error) noexcept;
    void apply_close() noexcept;
    void abort_send(std::uint64_t error, bool by_peer) noexcept;
    void abort_receive(std::uint64_t error) noexcept;
    void complete_sends(bool canceled) noexcept;
    void report_completed_sends() noexcept;  // Also from the application's thread.
    void report_send_done(bool graceful) noexcept;
    void deliver_received() noexcept;
    void report_end(const EndCause* cause) noexcept;
    void give_id_credit() noexcept;
    void credit(std::uint64_t consumed) noexcept;
    void queue_to_send() noexcept;

    Ref<Connection> connection_;
    abi::StreamCallback callback_;
    const std::uint32_t open_flags_;
    const bool local_;

    std::int64_t id_ = -1;
    std::atomic<std::int64_t> shown_id_{-1};
    std::uint32_t start_flags_ = 0;
    std::atomic<bool> start_called_{false};
    std::atomic<std::uint32_t> reporting_{0};
    std::atomic<bool> send_posted_{false};    // An op_send is on its way.
    ReservedCommand send_place_, close_place_;
    std::atomic<bool> end_reported_{false};   // SHUTDOWN_COMPLETE was given to the application.
    std::atomic<bool> closed_{false};         // The application closed the handle: no callback any more.

    bool started_ = false;
    bool opened_ = false;       // Exists in ngtcp2 (or did).
    bool quic_closed_ = false;  // No longer exists there.
    bool ended_ = false;        // report_end ran.
    bool credit_given_ = false;
    bool delay_id_credit_ = false;
    bool early_reset_ = false;  // RESET_STREAM was the first that came of it.
    std::uint64_t abort_error_ = 0;

    Send send_;
    std::uint64_t peer_send_error_ = 0;
    bool stop_sending_due_ = false;
    SendBuffer outgoing_;

    Receive receive_;
    bool receive_enabled_ = true;
    bool fin_received_ = false;
    bool fin_seen_ = false;        // On the wire, perhaps before the data.
    bool receive_aborted_ = false; // By us: STOP_SENDING was sent.
    bool fin_indicated_ = false;
    bool reset_seen_ = false;
    bool reset_due_ = false;
    std::uint64_t reset_error_ = 0;
    ReceiveBuffer incoming_;
    std::uint64_t window_ = 0;          // Of flow control; grows.
    std::uint64_t window_consumed_ = 0; // Since window_since_.
    std::uint64_t window_since_ = 0;    // Nanoseconds; 0 before the first byte.
};

}  // namespace kwik

#include "stream.h"

#include <algorithm>
#include <new>

#include "connection.h"
#include "ngtcp2_internal.h"

namespace kwik {

Stream::Stream(Connection& connection, std::uint32_t open_flags, bool local, abi::StreamCallback callback) noexcept
    : Handle(Kind::stream), connection_(Ref<Connection>::share(&connection)), callback_(callback), open_flags_(open_flags), local_(local),
      send_(!local && (open_flags & abi::open_unidirectional) != 0 ? Send::none : Send::open),
      receive_(local && (open_flags & abi::open_unidirectional) != 0 ? Receive::none : Receive::open) {}

Stream* Stream::open(Connection& connection, std::uint32_t open_flags, abi::StreamCallback callback, void* context) noexcept {
    Stream* stream = new (std::nothrow) Stream(connection, open_flags, true, callback);
    if (stream == nullptr) return nullptr;
    stream->context = context;
    stream->announced = true;
    return stream;
}

Stream* Stream::accept(Connection& connection, std::int64_t id) noexcept {
    Stream* stream = new (std::nothrow) Stream(connection, ngtcp2_is_bidi_stream(id) != 0 ? 0u : static_cast<std::uint32_t>(abi::open_unidirectional), false, nullptr);
    if (stream == nullptr) return nullptr;
    stream->id_ = id;
    stream->shown_id_.store(id, std::memory_order_release);
    stream->started_ = stream->opened_ = true;
    stream->start_called_.store(true);
    return stream;
}

// ---------------------------------------------------------------------------------------------------- any thread

abi::Status Stream::start(std::uint32_t flags) noexcept {
    if (const abi::Status status = connection_->open_status(); abi::failed(status)) return status;
    if (start_called_.exchange(true)) return abi::invalid_state;
    if (connection_->worker().post(Ref<Actor>::share(this), {.op = op_start, .flags = flags})) return abi::pending;
    start_called_.store(false);
    return abi::out_of_memory;
}

abi::Status Stream::shutdown(std::uint32_t flags, std::uint64_t error) noexcept {
    constexpr std::uint32_t abort_both = abi::shutdown_abort_send | abi::shutdown_abort_receive;
    const bool graceful = (flags & abi::shutdown_graceful) != 0;
    if (flags == 0 || flags > 15 || (graceful && (flags & (abort_both | abi::shutdown_immediate)) != 0)) return abi::invalid_parameter;
    if ((flags & abi::shutdown_immediate) != 0 && (flags & abort_both) != abort_both) return abi::invalid_parameter;
    // Now, so that no send is taken after it; the rest happens on the worker.
    if (graceful) {
        (void)outgoing_.finish();
    } else if ((flags & abi::shutdown_abort_send) != 0) {
        // The cancelled sends too, before this call returns. .NET hands the exception of an aborted write over between its Abort and SEND_COMPLETE by two variables without
        // a fence: reported from the worker at the very moment in which Abort goes on, each may miss the other's, and the write then never ends (once in some 20,000).
        const Reporting reporting(*this);
        outgoing_.cancel();
        report_completed_sends();
    }
    return connection_->worker().post(Ref<Actor>::share(this), {.op = op_shutdown, .flags = flags, .value = error}) ? abi::pending : abi::out_of_memory;
}

abi::Status Stream::send(std::span<const abi::Buffer> buffers, std::uint32_t flags, void* send_context) noexcept {
    const Reporting reporting(*this);
    const SendBuffer::Posted posted = outgoing_.post(buffers, (flags & abi::send_fin) != 0, send_context, connection_->send_budget());
    if (posted == SendBuffer::Posted::closed) return connection_->ended_status_for_send();
    if (posted == SendBuffer::Posted::no_memory) return abi::out_of_memory;
    // One command is enough for any number of sends that come before it runs.
    if (!send_posted_.exchange(true)) connection_->worker().post(send_place_, Ref<Actor>::share(this), {.op = op_send});
    if (posted == SendBuffer::Posted::complete && !closed_.load(std::memory_order_acquire)) {
        abi::StreamEvent event{};
        event.type = abi::StreamEvent::send_complete;
        event.sent.context = send_context;
        (void)callback_(static_cast<Handle*>(this), context, &event);
    }
    return abi::pending;
}

abi::Status Stream::receive_set_enabled(bool enabled) noexcept {
    return connection_->worker().post(Ref<Actor>::share(this), {.op = op_receive_enable, .flags = enabled}) ? abi::success : abi::out_of_memory;
}

void Stream::close() noexcept {
    Worker& worker = connection_->worker();
    const bool wait = !is_reporting() && !worker.is_current() && !end_reported_.load(std::memory_order_acquire);
    if (!wait) closed_.store(true, std::memory_order_release);
    auto self = Ref<Actor>::share(this);
    if (wait) worker.post_and_wait(std::move(self), {.op = op_close});
    else worker.post(close_place_, std::move(self), {.op = op_close});
    closed_.store(true, std::memory_order_release);
    if (!is_reporting()) await_reports();
    release();
}

void Stream::await_reports() noexcept {
    for (std::uint32_t others; (others = reporting_.load()) != 0;) reporting_.wait(others);
}

bool Stream::get_id(std::uint64_t& out) const noexcept {
    const std::int64_t id = shown_id_.load(std::memory_order_acquire);
    if (id < 0) return false;
    out = static_cast<std::uint64_t>(id);
    return true;
}

// ---------------------------------------------------------------------------------------------------- the worker

abi::Status Stream::indicate(abi::StreamEvent& event) noexcept {
    if (!announced || closed_.load(std::memory_order_acquire) || callback_ == nullptr) return abi::success;
    return callback_(static_cast<Handle*>(this), context, &event);
}

void Stream::execute(Command& command) noexcept {
    switch (command.op) {
    case op_start:
        start_flags_ = command.flags;
        if (!ended_) connection_->start_stream(*this, command.flags);
        break;
    case op_shutdown:
        apply_shutdown(command.flags, command.value);
        break;
    case op_send:
        send_posted_.store(false);
        queue_to_send();
        if (outgoing_.has_outstanding() && !connection_->ended()) connection_->touch(*this);
        break;
    case op_receive_enable:
        receive_enabled_ = command.flags != 0;
        if (receive_enabled_ && !connection_->ended()) connection_->touch(*this);
        break;
    case op_close:
        apply_close();
        break;
    }
}

void Stream::on_opened(std::int64_t id) noexcept {
    id_ = id;
    shown_id_.store(id, std::memory_order_release);
    opened_ = true;
    // What was aborted while waiting is aborted for the peer now.
    if (send_ == Send::done) connection_->check_memory(ngtcp2_conn_shutdown_stream_write(connection_->quic(), 0, id_, abort_error_));
    if (receive_ == Receive::done) connection_->check_memory(ngtcp2_conn_shutdown_stream_read(connection_->quic(), 0, id_, abort_error_));
    queue_to_send();
    if (!started_) return;  // START_COMPLETE says it.
    if ((start_flags_ & abi::start_indicate_accept) != 0) {
        abi::StreamEvent event{};
        event.type = abi::StreamEvent::peer_accepted;
        (void)indicate(event);
    }
}

void Stream::on_started(std::int64_t id, bool opened) noexcept {
    started_ = true;
    id_ = id;
    shown_id_.store(id, std::memory_order_release);
    abi::StreamEvent event{};
    event.type = abi::StreamEvent::start_complete;
    event.started.status = abi::success;
    event.started.id = static_cast<std::uint64_t>(id);
    event.started.peer_accepted = opened;
    (void)indicate(event);
}

void Stream::on_start_failed(abi::Status status) noexcept {
    abi::StreamEvent event{};
    event.type = abi::StreamEvent::start_complete;
    event.started.status = status;
    event.started.id = UINT64_MAX;
    (void)indicate(event);
    if ((start_flags_ & abi::start_shutdown_on_fail) == 0) return;
    complete_sends(true);
    report_send_done(false);
    if (receive_ != Receive::none) receive_ = Receive::done;
    report_end(connection_->ended() ? &connection_->cause() : nullptr);
}

bool Stream::announce() noexcept {
    announced = true;
    abi::ConnectionEvent event{};
    event.type = abi::ConnectionEvent::peer_stream_started;
    event.started.stream = static_cast<Handle*>(this);
    event.started.flags = open_flags_;
    retain();  // The application's reference.
    const abi::Status status = connection_->indicate(event);
    delay_id_credit_ = (event.started.flags & abi::open_delay_id_updates) != 0;
    if (!abi::failed(status) && (callback_ != nullptr || closed_.load())) return true;
    // Refused, or nobody took it.
    closed_.store(true);
    apply_close();
    release();
    return false;
}

bool Stream::on_data(std::span<const std::uint8_t> bytes, bool fin) noexcept {
    if (receive_ != Receive::open || reset_due_) {
        ngtcp2_conn_extend_max_offset(connection_->quic(), bytes.size());
    } else if (!bytes.empty() && !incoming_.append(bytes)) {
        return false;
    }
    if (fin) {
        fin_received_ = true;
        if (receive_ == Receive::open) receive_ = Receive::draining;
    }
    connection_->touch(*this);
    return true;
}

void Stream::on_reset(std::uint64_t error) noexcept {
    if (reset_due_ || reset_seen_) return;
    reset_seen_ = true;
    reset_due_ = receive_ == Receive::open || receive_ == Receive::draining;
    reset_error_ = error;
    connection_->touch(*this);
}

void Stream::on_acknowledged(std::uint64_t offset) noexcept {
    outgoing_.acknowledged(offset);
    connection_->touch(*this);
}

void Stream::on_quic_closed() noexcept {
    quic_closed_ = true;
    connection_->touch(*this);
}

void Stream::on_unblocked() noexcept { connection_->queue_to_send(*this); }

void Stream::on_stop_sending(std::uint64_t error) noexcept {
    if (send_ != Send::open && send_ != Send::finishing) return;
    stop_sending_due_ = true;
    peer_send_error_ = error;
    connection_->touch(*this);
}

void Stream::on_fin_seen() noexcept {
    fin_seen_ = true;
    if (receive_aborted_) connection_->touch(*this);
}

void Stream::queue_to_send() noexcept {
    if (connection_->ended() || !opened_ || quic_closed_) return;
    if (send_ == Send::open && outgoing_.is_closed()) send_ = Send::finishing;
    if (send_ == Send::open || send_ == Send::finishing) connection_->queue_to_send(*this);
}

void Stream::complete_sends(bool canceled) noexcept {
    if (canceled) {
        outgoing_.cancel();
    } else {
        switch (outgoing_.refill(connection_->send_budget())) {
        case SendBuffer::Refill::progress: queue_to_send(); break;
        case SendBuffer::Refill::starved: connection_->run_out_of_memory(); break;
        case SendBuffer::Refill::nothing: break;
        }
    }
    report_completed_sends();
}

void Stream::report_completed_sends() noexcept {
    bool canceled = false;
    for (void* send_context; outgoing_.take_completed(send_context, canceled);) {
        abi::StreamEvent event{};
        event.type = abi::StreamEvent::send_complete;
        event.sent.canceled = canceled;
        event.sent.context = send_context;
        (void)indicate(event);
    }
}

void Stream::report_send_done(bool graceful) noexcept {
    if (send_ == Send::none || send_ == Send::done) return;
    send_ = Send::done;
    abi::StreamEvent event{};
    event.type = abi::StreamEvent::send_shutdown_complete;
    event.send_shutdown.graceful = graceful;
    (void)indicate(event);
}

void Stream::abort_send(std::uint64_t error, bool by_peer) noexcept {
    if (send_ == Send::none || send_ == Send::done) return;
    abort_error_ = error;
    // A STOP_SENDING was answered with a RESET_STREAM by ngtcp2 itself.
    if (!by_peer && opened_ && !quic_closed_ && !connection_->ended()) {
        connection_->check_memory(ngtcp2_conn_shutdown_stream_write(connection_->quic(), 0, id_, error));
        connection_->schedule();
    }
    complete_sends(true);
    report_send_done(false);
}

void Stream::abort_receive(std::uint64_t error) noexcept {
    if (receive_ == Receive::none || receive_ == Receive::done) return;
    receive_ = Receive::done;
    receive_aborted_ = true;
    abort_error_ = error;
    const std::uint64_t dropped = incoming_.clear();
    if (connection_->ended() || connection_->quic() == nullptr) return;  // Ended, or not started.
    ngtcp2_conn_extend_max_offset(connection_->quic(), dropped);
    if (opened_ && !quic_closed_) connection_->check_memory(ngtcp2_conn_shutdown_stream_read(connection_->quic(), 0, id_, error));
    connection_->schedule();
}

void Stream::apply_shutdown(std::uint32_t flags, std::uint64_t error) noexcept {
    if (ended_) return;
    if ((flags & abi::shutdown_graceful) != 0) {
        if (send_ == Send::open) send_ = Send::finishing;
        queue_to_send();
    }
    if ((flags & abi::shutdown_abort_send) != 0) abort_send(error, false);
    if ((flags & abi::shutdown_abort_receive) != 0) abort_receive(error);
    if (connection_->ended()) {
        // Only a stream that was never started is still here.
        if ((flags & abi::shutdown_immediate) != 0) report_end(&connection_->cause());
    } else if ((flags & abi::shutdown_immediate) != 0) {
        report_end(nullptr);
    }
    if (!connection_->ended() && opened_) connection_->touch(*this);
}

void Stream::apply_close() noexcept {
    closed_.store(true, std::memory_order_release);
    if (!ended_ && !connection_->ended()) {
        abort_send(0, false);
        abort_receive(0);
        if (!opened_) report_end(nullptr);
    }
    give_id_credit();
    if (!connection_->ended() && opened_) connection_->touch(*this);
}

void Stream::give_id_credit() noexcept {
    if (local_ || credit_given_ || connection_->ended()) return;
    if (delay_id_credit_ ? !closed_.load(std::memory_order_acquire) : !ended_) return;
    credit_given_ = true;
    if (is_unidirectional()) ngtcp2_conn_extend_max_streams_uni(connection_->quic(), 1);
    else ngtcp2_conn_extend_max_streams_bidi(connection_->quic(), 1);
    connection_->schedule();
}

void Stream::report_end(const EndCause* cause) noexcept {
    if (ended_) return;
    ended_ = true;
    // No callback comes after this one, also none that another thread is making from within StreamSend or StreamShutdown.
    await_reports();
    abi::StreamEvent event{};
    event.type = abi::StreamEvent::shutdown_complete;
    event.complete.connection_shutdown = cause != nullptr;
    if (cause != nullptr) {
        event.complete.bits = static_cast<std::uint8_t>((cause->by_app ? abi::StreamEvent::by_app : 0) | (cause->remote ? abi::StreamEvent::closed_remotely : 0));
        event.complete.error = cause->error;
        event.complete.status = cause->status;
    }
    (void)indicate(event);
    // Only now: a close from another thread that sees this does not wait, and so must not find the callback still running.
    end_reported_.store(true, std::memory_order_release);
    give_id_credit();
}

// Lets the peer send as much again as the application took; and more if it takes half a window in two round trips, because then the window limits the stream.
void Stream::credit(std::uint64_t consumed) noexcept {
    ngtcp2_conn_extend_max_offset(connection_->quic(), consumed);
    connection_->schedule();
    if (quic_closed_ || fin_received_) return;
    const std::uint64_t now = connection_->worker().now();
    if (window_since_ == 0) {
        window_ = connection_->stream_window(*this);
        window_since_ = now;
    }
    window_consumed_ += consumed;
    std::uint64_t growth = 0;
    if (window_consumed_ >= window_ / 2) {
        if (now - window_since_ < 2 * connection_->round_trip() && window_ < largest_window) growth = std::min(window_, largest_window - window_);
        window_ += growth;
        window_since_ = now;
        window_consumed_ = 0;
    }
    connection_->check_memory(ngtcp2_conn_extend_max_stream_offset(connection_->quic(), id_, consumed + growth));
}

void Stream::deliver_received() noexcept {
    // The callback can be re-entered only through another event, never through this one.
    while (receive_enabled_ && (receive_ == Receive::open || receive_ == Receive::draining) && !reset_due_ && !closed_.load(std::memory_order_acquire)) {
        const bool empty_end = receive_ == Receive::draining && incoming_.size() == 0;
        if (incoming_.size() == 0 && (!empty_end || fin_indicated_)) break;
        abi::Buffer buffers[4];
        const std::size_t count = incoming_.peek(buffers);
        std::uint64_t offered = 0;
        for (std::size_t i = 0; i < count; ++i) offered += buffers[i].length;
        abi::StreamEvent event{};
        event.type = abi::StreamEvent::receive;
        event.received.offset = incoming_.offset();
        event.received.total_length = offered;
        event.received.buffers = buffers;
        event.received.buffer_count = static_cast<std::uint32_t>(count);
        const bool with_end = receive_ == Receive::draining && offered == incoming_.size();
        event.received.flags = with_end ? static_cast<std::uint32_t>(abi::receive_fin) : 0;
        const abi::Status status = indicate(event);
        if (receive_ == Receive::done) return;
        const std::uint64_t taken = abi::failed(status) || status == abi::pending ? 0 : std::min(event.received.total_length, offered);
        incoming_.consume(taken);
        if (taken > 0 && !connection_->ended()) credit(taken);
        if (with_end && taken == offered) fin_indicated_ = true;
        // Taking less means: no more until StreamReceiveSetEnabled, or with CONTINUE: the rest at once.
        if (taken < offered && status != abi::keep_going) receive_enabled_ = false;
    }
    if (receive_ == Receive::draining && incoming_.size() == 0 && !reset_due_ && (fin_indicated_ || closed_.load(std::memory_order_acquire))) {
        receive_ = Receive::done;
        abi::StreamEvent event{};
        event.type = abi::StreamEvent::peer_send_shutdown;
        (void)indicate(event);
    }
}

void Stream::deliver() noexcept {
    if (connection_->ended()) return;
    if (!announced && !announce()) return;
    if (stop_sending_due_) {
        stop_sending_due_ = false;
        if (send_ == Send::open || send_ == Send::finishing) {
            abi::StreamEvent event{};
            event.type = abi::StreamEvent::peer_receive_aborted;
            event.aborted.error = peer_send_error_;
            (void)indicate(event);
            abort_send(peer_send_error_, true);
        }
    }
    if (send_ == Send::open || send_ == Send::finishing) complete_sends(false);
    if (connection_->ended()) return;
    deliver_received();
    if (connection_->ended()) return;
    if (reset_due_) {
        reset_due_ = false;
        if (receive_ != Receive::done) {
            receive_ = Receive::done;
            ngtcp2_conn_extend_max_offset(connection_->quic(), incoming_.clear());
            // Gives back the window of the bytes that will never come; the STOP_SENDING that goes with it says nothing new.
            if (early_reset_ && !quic_closed_) connection_->check_memory(ngtcp2_conn_shutdown_stream_read(connection_->quic(), 0, id_, reset_error_));
            abi::StreamEvent event{};
            event.type = abi::StreamEvent::peer_send_aborted;
            event.aborted.error = reset_error_;
            (void)indicate(event);
        }
    }
    if (connection_->ended()) return;
    // Also while open: FIN may have been posted, sent and acknowledged before the command that would say so came to its turn.
    if ((send_ == Send::open || send_ == Send::finishing) && outgoing_.fin_sent()) {
        ngtcp2_strm* stream = quic_closed_ ? nullptr : ngtcp2_conn_find_stream(connection_->quic(), id_);
        if (stream == nullptr || ngtcp2_strm_is_all_tx_data_fin_acked(stream) != 0) report_send_done(true);
    }
    if (connection_->ended()) return;
    // The remedy for ngtcp2's one-way streams, see ngtcp2_internal.h. Once the final size is known, nothing that still arrives can count against the connection's window.
    const bool incoming_over = fin_received_ || reset_seen_ || (receive_aborted_ && fin_seen_);
    if (!local_ && is_unidirectional() && incoming_over && !quic_closed_) {
        if (ngtcp2_strm* stream = ngtcp2_conn_find_stream(connection_->quic(), id_)) (void)ngtcp2_conn_close_stream(connection_->quic(), stream);
        quic_closed_ = true;
    }
    const bool send_over = send_ == Send::none || send_ == Send::done;
    const bool receive_over = receive_ == Receive::none || receive_ == Receive::done;
    // ngtcp2 waits for data that a reset which came first announced and that will never come.
    if (early_reset_ && send_over && receive_over && !quic_closed_) {
        if (ngtcp2_strm* stream = ngtcp2_conn_find_stream(connection_->quic(), id_)) (void)ngtcp2_conn_close_stream(connection_->quic(), stream);
        quic_closed_ = true;
    }
    if (send_over && receive_over && quic_closed_) report_end(nullptr);
    if (ended_ && quic_closed_ && !connection_->ended()) {
        outgoing_.clear();
        connection_->forget(*this);  // Perhaps the last reference but the caller's.
    }
}

void Stream::on_connection_ended(const EndCause& cause) noexcept {
    if (!announced) return;
    incoming_.clear();
    complete_sends(true);
    report_send_done(false);
    if (receive_ != Receive::none) receive_ = Receive::done;
    report_end(&cause);
    // ngtcp2 may still refer to the copies until the connection deletes it; nothing is sent any more, so it does not read them.
    outgoing_.clear();
}

}  // namespace kwik

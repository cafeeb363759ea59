#include "listener.h"

#include "configuration.h"

namespace kwik {

namespace {
// Set while a thread runs a callback of this listener, so that close() from within does not wait for itself.
thread_local const Listener* callback_of = nullptr;
}  // namespace

abi::Status Listener::start(std::span<const abi::Buffer> alpn, const void* address) noexcept {
    std::lock_guard lock(mutex_);
    if (state_ != State::idle || closed_) return abi::invalid_state;
    alpn_list_.clear();
    if (const abi::Status status = read_alpn_list(alpn, alpn_list_); abi::failed(status)) return status;
    const Address local = address == nullptr ? Address() : Address::from_abi(address);
    if (const abi::Status status = Binding::acquire(library_, local, binding_); abi::failed(status)) return status;
    state_ = State::listening;
    if (const abi::Status status = binding_->add_listener(*this); abi::failed(status)) {
        state_ = State::idle;
        std::exchange(binding_, {})->drop_user();
        return status;
    }
    return abi::success;
}

void Listener::stop() noexcept {
    bool quiet;
    {
        std::lock_guard lock(mutex_);
        if (state_ != State::listening) return;
        state_ = State::stopping;
        quiet = callbacks_ == 0;
    }
    binding_->remove_listener(*this);
    if (quiet) post_stopped();
}

void Listener::close() noexcept {
    {
        std::lock_guard lock(mutex_);
        closed_ = true;
    }
    stop();
    if (callback_of != this) {
        std::unique_lock lock(mutex_);
        quiet_.wait(lock, [this] { return callbacks_ == 0; });
    }
    release();
}

abi::Status Listener::local_address(Address& out) noexcept {
    std::lock_guard lock(mutex_);
    if (state_ != State::listening) return abi::invalid_state;
    out = binding_->local();
    return abi::success;
}

bool Listener::begin_callback() noexcept {
    std::lock_guard lock(mutex_);
    if (state_ != State::listening) return false;
    ++callbacks_;
    callback_of = this;
    return true;
}

void Listener::end_callback() noexcept {
    bool last;
    {
        std::lock_guard lock(mutex_);
        callback_of = nullptr;
        last = --callbacks_ == 0 && state_ == State::stopping;
        if (callbacks_ == 0) quiet_.notify_all();
    }
    if (last) post_stopped();
}

void Listener::post_stopped() noexcept {
    binding_->reader().post(stopped_place_, Ref<Actor>::share(this), {.op = op_stopped});
}

void Listener::execute(Command&) noexcept {
    // On the reader, so that the socket is closed when the application learns of the end and may bind the port again.
    std::exchange(binding_, {})->drop_user();
    bool indicate_end;
    {
        std::lock_guard lock(mutex_);
        state_ = State::idle;
        indicate_end = !closed_;
        if (indicate_end) {
            ++callbacks_;
            callback_of = this;
        }
    }
    if (!indicate_end) return;
    abi::ListenerEvent event{};
    event.type = abi::ListenerEvent::stop_complete;
    (void)indicate(event);
    std::lock_guard lock(mutex_);
    callback_of = nullptr;
    --callbacks_;
    quiet_.notify_all();
}

}  // namespace kwik

// ListenerOpen to ListenerClose. Accepts on a Binding; its callbacks come from the workers of the new connections, possibly several at once, and stop before STOP_COMPLETE.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <vector>

#include "binding.h"

namespace kwik {

//   idle --start--> listening --stop--> stopping --(last callback ended, socket released)--> idle, STOP_COMPLETE
class Listener final : public Actor, public Handle {
public:
    Listener(Library& library, abi::ListenerCallback callback, void* context) noexcept
        : Handle(Kind::listener), library_(library), callback_(callback) { this->context = context; }

    // INVALID_STATE if it is not idle; statuses of read_alpn_list, Binding::acquire and Binding::add_listener. `address` null: any address, any port.
    abi::Status start(std::span<const abi::Buffer> alpn, const void* address) noexcept;
    // No further connection; STOP_COMPLETE follows from a worker, after the socket was closed if no connection uses it. Does nothing in another state.
    void stop() noexcept;
    // stop, without STOP_COMPLETE if that has not begun, and no callback once this returns. Gives back the application's reference. From a callback of this listener it does not wait.
    void close() noexcept;
    void set_callback(abi::ListenerCallback callback, void* new_context) noexcept { callback_ = callback; context = new_context; }
    // INVALID_STATE unless listening.
    abi::Status local_address(Address& out) noexcept;

    // For Binding and the workers.
    const std::vector<std::uint8_t>& alpn_list() const noexcept { return alpn_list_; }
    bool begin_callback() noexcept;  // False once stopping.
    void end_callback() noexcept;
    abi::Status indicate(abi::ListenerEvent& event) noexcept { return callback_(static_cast<Handle*>(this), context, &event); }
    void execute(Command& command) noexcept override;

private:
    enum class State { idle, listening, stopping };
    enum Op : std::uint32_t { op_stopped };
    void post_stopped() noexcept;

    Library& library_;
    abi::ListenerCallback callback_;
    std::mutex mutex_;
    std::condition_variable quiet_;
    State state_ = State::idle;
    bool closed_ = false;
    unsigned callbacks_ = 0;  // Running now.
    Ref<Binding> binding_;
    std::vector<std::uint8_t> alpn_list_;  // Constant while listening.
    ReservedCommand stopped_place_;
};

}  // namespace kwik

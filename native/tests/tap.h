// A wire between one client and one server on loopback, in the test's hands: it sees every datagram and decides what becomes of it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "loopback.h"

namespace kwik::test {

inline bool is_long(std::span<const std::uint8_t> packet) { return !packet.empty() && (packet[0] & 0x80) != 0; }
inline bool is_retry(std::span<const std::uint8_t> packet) { return is_long(packet) && (packet[0] & 0x30) == 0x30; }

// A datagram socket on 127.0.0.1.
class Socket {
public:
    Socket() : fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
        const sockaddr_in6 any = loopback_address(0);
        if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof(sockaddr_in)) != 0) throw std::runtime_error{"socket"};
    }
    ~Socket() { ::close(fd_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    int fd() const { return fd_; }
    std::uint16_t port() const {
        sockaddr_in own{};
        socklen_t length = sizeof own;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &length);
        return ntohs(own.sin_port);
    }
    void send(std::span<const std::uint8_t> datagram, std::uint16_t port) {
        const sockaddr_in6 to = loopback_address(port);
        EXPECT_EQ(::sendto(fd_, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(sockaddr_in)), static_cast<ssize_t>(datagram.size()));
    }
    // The next datagram, and in `from` its sender's port; nothing after `wait`.
    std::optional<Bytes> receive(std::chrono::milliseconds wait = patience, std::uint16_t* from = nullptr) {
        pollfd waiting{fd_, POLLIN, 0};
        if (::poll(&waiting, 1, static_cast<int>(wait.count())) != 1) return {};
        Bytes datagram(65536);
        sockaddr_in sender{};
        socklen_t length = sizeof sender;
        const ssize_t size = ::recvfrom(fd_, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&sender), &length);
        if (size < 0) return {};  // An ICMP error of an earlier datagram.
        datagram.resize(static_cast<std::size_t>(size));
        if (from != nullptr) *from = ntohs(sender.sin_port);
        return datagram;
    }

private:
    int fd_;
};

class Tap {
public:
    explicit Tap(std::uint16_t server) : server_{server} {}
    std::uint16_t port() const { return near_.port(); }
    // From now on the server sees another address.
    void rebind() { far_ = std::make_unique<Socket>(); }

    // What becomes of a datagram: it is passed on as the function leaves it, or dropped when the function says false.
    std::function<bool(Bytes&)> to_server = [](Bytes&) { return true; };
    std::function<bool(Bytes&)> to_client = [](Bytes&) { return true; };

    // Passes datagrams until the condition holds, which is asked every few milliseconds. False: it did not in time.
    [[nodiscard]] bool run_until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            pollfd waiting[2] = {{near_.fd(), POLLIN, 0}, {far_->fd(), POLLIN, 0}};
            if (::poll(waiting, 2, 5) <= 0) continue;
            if (waiting[0].revents != 0) {
                if (auto datagram = near_.receive(std::chrono::milliseconds{0}, &client_); datagram && to_server(*datagram)) far_->send(*datagram, server_);
            }
            if (waiting[1].revents != 0) {
                if (auto datagram = far_->receive(std::chrono::milliseconds{0}); datagram && to_client(*datagram)) near_.send(*datagram, client_);
            }
        }
        return true;
    }

private:
    const std::uint16_t server_;
    std::uint16_t client_ = 0;
    Socket near_;
    std::unique_ptr<Socket> far_ = std::make_unique<Socket>();
};

}  // namespace kwik::test

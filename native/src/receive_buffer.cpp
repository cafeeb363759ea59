#include "receive_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace kwik {

bool ReceiveBuffer::append(std::span<const std::uint8_t> bytes) noexcept {
    // Memory first, so that a failure leaves the buffer as it was: at most the spare part of the last piece and one more piece are needed for one packet.
    const std::size_t before = pieces_.size();
    std::size_t room = before == 0 ? 0 : spare(pieces_.back());
    while (room < bytes.size()) {
        const bool small = pieces_.empty() && bytes.size() <= first_piece;
        Piece piece{BufferPool::take(small ? first_piece : BufferPool::chunk_size), 0};
        if (!piece.memory || !pieces_.push_back(std::move(piece))) {
            while (pieces_.size() > before) pieces_.pop_back();
            return false;
        }
        room += spare(pieces_.back());
    }
    size_ += bytes.size();
    for (std::size_t i = before == 0 ? 0 : before - 1; !bytes.empty(); ++i) {
        Piece& piece = pieces_[i];
        const std::size_t part = std::min(spare(piece), bytes.size());
        std::memcpy(piece.memory.get() + piece.length, bytes.data(), part);
        piece.length += static_cast<std::uint32_t>(part);
        bytes = bytes.subspan(part);
    }
    return true;
}

std::size_t ReceiveBuffer::peek(std::span<abi::Buffer> out) noexcept {
    std::size_t count = 0;
    std::uint32_t skip = skip_;
    for (std::size_t i = 0; i < pieces_.size() && count < out.size(); ++i) {
        const Piece& piece = pieces_[i];
        if (piece.length > skip) out[count++] = {piece.length - skip, piece.memory.get() + skip};
        skip = 0;
    }
    return count;
}

void ReceiveBuffer::consume(std::uint64_t bytes) noexcept {
    size_ -= bytes;
    offset_ += bytes;
    while (bytes > 0) {
        const std::uint32_t left = pieces_.front().length - skip_;
        if (bytes < left) {
            skip_ += static_cast<std::uint32_t>(bytes);
            return;
        }
        bytes -= left;
        pieces_.pop_front();
        skip_ = 0;
    }
}

std::uint64_t ReceiveBuffer::clear() noexcept {
    const std::uint64_t dropped = size_;
    offset_ += dropped;
    size_ = 0;
    skip_ = 0;
    pieces_.clear();
    return dropped;
}

}  // namespace kwik

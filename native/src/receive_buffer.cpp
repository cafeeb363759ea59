#include "receive_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace kwik {

bool ReceiveBuffer::append(std::span<const std::uint8_t> bytes) noexcept {
    // Memory first, so that a failure leaves the buffer as it was: at most the spare part of the last piece and one more piece are needed for one packet.
    std::size_t spare = pieces_.empty() ? 0 : pieces_.back().memory.get_deleter().capacity - pieces_.back().length;
    std::vector<Piece> fresh;
    try {
        for (std::size_t need = bytes.size() > spare ? bytes.size() - spare : 0; need > 0;) {
            const bool small = pieces_.empty() && need <= first_piece;
            Piece piece{BufferPool::take(small ? first_piece : BufferPool::chunk_size), 0};
            if (!piece.memory) return false;
            need -= std::min(need, piece.memory.get_deleter().capacity);
            fresh.push_back(std::move(piece));
        }
        if (spare > 0) {
            const std::size_t part = std::min(spare, bytes.size());
            std::memcpy(pieces_.back().memory.get() + pieces_.back().length, bytes.data(), part);
            pieces_.back().length += static_cast<std::uint32_t>(part);
            size_ += part;
            bytes = bytes.subspan(part);
        }
        for (Piece& piece : fresh) {
            const std::size_t part = std::min(piece.memory.get_deleter().capacity, bytes.size());
            std::memcpy(piece.memory.get(), bytes.data(), part);
            piece.length = static_cast<std::uint32_t>(part);
            pieces_.push_back(std::move(piece));
            size_ += part;
            bytes = bytes.subspan(part);
        }
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

std::size_t ReceiveBuffer::peek(std::span<abi::Buffer> out) noexcept {
    std::size_t count = 0;
    std::uint32_t skip = skip_;
    for (Piece& piece : pieces_) {
        if (count == out.size()) break;
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

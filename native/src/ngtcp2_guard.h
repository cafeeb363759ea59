// Keeps a defect of ngtcp2 from ending the process. Where ngtcp2 finds its own state to be impossible it calls abort; 0.12.1 does so for peers that change their address faster than it has
// validated the last one, for example, which anybody can do. The linker leads these calls here (CMakeLists.txt), and inside a guarded call they end that call instead: the connection is
// beyond use then, the others are not.
#pragma once

#include <utility>

namespace kwik {

class Ngtcp2Guard {
public:
    // Calls and returns what it returns, or `defect` if ngtcp2 gave up; of the connection that the call was about nothing but ngtcp2_conn_del, itself guarded, is to be called then.
    // ngtcp2's callbacks may be `noexcept`: guard what they call of ngtcp2 in turn.
    template <class Call, class Result>
    static Result run(Call call, Result defect) noexcept {
        const bool outer = std::exchange(active_, true);
        try {
            Result result = call();
            active_ = outer;
            return result;
        } catch (const Defect&) {
            active_ = outer;
            return defect;
        }
    }

    // What abort would have been called for. Returns (by an exception through ngtcp2's frames, which are C without clean-up) only to run(); does nothing outside of it.
    static void give_up(const char* what, const char* file, unsigned line);

private:
    struct Defect {};
    static thread_local bool active_;
};

}  // namespace kwik

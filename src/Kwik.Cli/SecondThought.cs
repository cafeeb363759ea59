using System.Runtime.InteropServices;

namespace Kwik.Cli;

/// <summary>Tells somebody who insists from a signal that is said twice.</summary>
internal sealed class SecondThought
{
    // timeout(1) and programs like it send a signal to the process and once more to its group.
    private static readonly TimeSpan SameSignal = TimeSpan.FromMilliseconds(300);
    private long _firstAt;

    /// <summary>Takes a signal: whether it is the first, and, if it is not, whether it is a second thought.</summary>
    public (bool IsFirst, bool Insists) Take(PosixSignal signal)
    {
        long now = TimeProvider.System.GetTimestamp();
        long first = Interlocked.CompareExchange(ref _firstAt, now, 0);
        // A terminal that is closed says so more than once.
        return first == 0 ? (true, false) : (false, signal != PosixSignal.SIGHUP && TimeProvider.System.GetElapsedTime(first, now) >= SameSignal);
    }
}

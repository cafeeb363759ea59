namespace Kwik.Testing;

/// <summary>
/// Time that passes only when the simulation has nothing else to do. Starts at 2026-01-01 00:00 UTC with timestamp 0, in
/// ticks of 100 ns. Timers that are due at one instant fire in the order of their creation, each as a task of its own.
/// </summary>
public sealed class VirtualTimeProvider : TimeProvider
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly EventLoop _loop;
    private readonly SimulatedProcess? _process;

    internal VirtualTimeProvider(EventLoop loop, SimulatedProcess? process = null)
    {
        _loop = loop;
        _process = process;
    }

    /// <summary>Virtual time since the simulation began.</summary>
    public TimeSpan Elapsed => TimeSpan.FromTicks(_loop.Now);

    /// <summary>
    /// How far the wall clock is moved away from the timers, as an operator or NTP may do; positive is forward.
    /// </summary>
    public TimeSpan WallClockOffset { get; set; }

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <inheritdoc/>
    public override long GetTimestamp() => _loop.Now;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => Epoch + Elapsed + WallClockOffset;

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        _loop.AssertOnLoop();
        var timer = new VirtualTimer(_loop, _process, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class VirtualTimer : ITimer
    {
        private readonly EventLoop _loop;
        private readonly SimulatedProcess? _process;
        private readonly TimerCallback _callback;
        private readonly object? _state;
        private readonly ExecutionContext? _context = ExecutionContext.Capture();
        private readonly long _sequence;
        private TimedEvent? _next;
        private long _period;
        private int _setting;
        private bool _disposed;

        public VirtualTimer(EventLoop loop, SimulatedProcess? process, TimerCallback callback, object? state)
        {
            _loop = loop;
            _process = process;
            _callback = callback;
            _state = state;
            _sequence = loop.NextSequence();
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(dueTime, Timeout.InfiniteTimeSpan);
            ArgumentOutOfRangeException.ThrowIfLessThan(period, Timeout.InfiniteTimeSpan);
            _loop.AssertOnLoop();
            if (_disposed)
            {
                return false;
            }

            _next?.Cancel();
            _setting++;

            // As with System.Threading.Timer: a period of zero, or an infinite one, fires once.
            _period = period == Timeout.InfiniteTimeSpan ? 0 : period.Ticks;
            _next = dueTime == Timeout.InfiniteTimeSpan ? null : Arm(dueTime.Ticks);
            return true;
        }

        public void Dispose()
        {
            // Also called when the run is over, by what the scenario left behind.
            _loop.AssertOnLoop();
            _disposed = true;
            _next?.Cancel();
            _next = null;
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private TimedEvent Arm(long ticks)
        {
            int setting = _setting;
            return _loop.Schedule(_loop.Now + ticks, () => Fire(setting), _sequence);
        }

        private void Fire(int setting)
        {
            // A stopped process fires its timers when it runs again, a killed one never does; a timer that was set anew
            // in the meantime has forgotten the earlier setting.
            if (_disposed || setting != _setting || _process?.TryEnter(() => Fire(setting)) == false)
            {
                return;
            }

            _next = _period > 0 ? Arm(_period) : null;
            if (_context is null)
            {
                _callback(_state);
            }
            else
            {
                ExecutionContext.Run(_context, static timer => ((VirtualTimer)timer!).Invoke(), this);
            }
        }

        private void Invoke() => _callback(_state);
    }
}

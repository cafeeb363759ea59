namespace Kwik.Testing.Tests;

/// <summary>Time, order, limits and escapes, without any network.</summary>
public sealed class EventLoopTests
{
    [Fact]
    public void Delay_OfADay_TakesNoRealTime()
    {
        var options = new SimulationOptions { TimeLimit = TimeSpan.FromDays(2) };
        SimulationTrace trace = Simulation.Run(
            1,
            async world =>
            {
                DateTimeOffset before = world.Time.GetUtcNow();
                await world.Delay(TimeSpan.FromDays(1));
                Assert.Equal(TimeSpan.FromDays(1), world.Time.Elapsed);
                Assert.Equal(before.AddDays(1), world.Time.GetUtcNow());
                Assert.Equal(TimeSpan.FromDays(1), world.Time.GetElapsedTime(0));
                world.Trace.Add("done");
            },
            options);
        Assert.Equal("86400.0000000 done", Assert.Single(trace.Lines()));
    }

    [Fact]
    public void Timers_DueTogether_FireInTheOrderOfTheirCreation() => Simulation.Run(1, async world =>
    {
        var fired = new List<int>();
        ITimer[] timers = [.. Enumerable.Range(0, 20).Select(
            number => world.Time.CreateTimer(_ => fired.Add(number), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan))];

        // Set in another order, for one instant.
        foreach (ITimer timer in timers.Reverse())
        {
            timer.Change(TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        }

        await world.Delay(TimeSpan.FromSeconds(2));
        Assert.Equal(Enumerable.Range(0, 20), fired);
    });

    [Fact]
    public void Timer_WithPeriod_FiresUntilItIsDisposed() => Simulation.Run(1, async world =>
    {
        var fired = new List<double>();
        using (world.Time.CreateTimer(
            _ => fired.Add(world.Time.Elapsed.TotalSeconds), null, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(2)))
        {
            await world.Delay(TimeSpan.FromSeconds(8));
        }

        await world.Delay(TimeSpan.FromSeconds(8));
        Assert.Equal([3, 5, 7], fired);
    });

    [Fact]
    public void Timer_ChangedToInfinite_DoesNotFire() => Simulation.Run(1, async world =>
    {
        int fired = 0;
        using ITimer timer = world.Time.CreateTimer(_ => fired++, null, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(2));
        Assert.True(timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan));
        await world.Delay(TimeSpan.FromSeconds(8));
        Assert.Equal(0, fired);
        timer.Dispose();
        Assert.False(timer.Change(TimeSpan.Zero, TimeSpan.Zero));
    });

    [Fact]
    public void Timer_MadeUnderAnAsyncLocal_SeesIt() => Simulation.Run(1, async world =>
    {
        var local = new AsyncLocal<string> { Value = "creation" };
        string? seen = null;
        using ITimer timer = world.Time.CreateTimer(_ => seen = local.Value, null, TimeSpan.FromSeconds(1), TimeSpan.Zero);
        local.Value = "later";
        await world.Delay(TimeSpan.FromSeconds(2));
        Assert.Equal("creation", seen);
    });

    [Fact]
    public void WallClock_Moved_LeavesTimersAlone() => Simulation.Run(1, async world =>
    {
        DateTimeOffset before = world.Time.GetUtcNow();
        Task delay = world.Delay(TimeSpan.FromSeconds(10));
        world.Time.WallClockOffset = TimeSpan.FromHours(1);
        Assert.Equal(before.AddHours(1), world.Time.GetUtcNow());
        await delay;
        Assert.Equal(10, world.Time.Elapsed.TotalSeconds);
    });

    [Fact]
    public void Scenario_AfterManyWaits_IsOnTheThreadItBeganOn()
    {
        int thread = Environment.CurrentManagedThreadId;
        SynchronizationContext? context = SynchronizationContext.Current;
        Simulation.Run(1, async world =>
        {
            var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using ITimer timer = world.Time.CreateTimer(_ => gate.SetResult(), null, TimeSpan.FromSeconds(1), TimeSpan.Zero);
            await gate.Task;
            await Task.Yield();
            var channel = System.Threading.Channels.Channel.CreateUnbounded<int>();
            Task<int> read = ReadAsync(channel.Reader);
            await world.Delay(TimeSpan.FromMilliseconds(1));
            channel.Writer.TryWrite(7);
            Assert.Equal(7, await read);
            Assert.Equal(thread, Environment.CurrentManagedThreadId);
            Assert.Null(SynchronizationContext.Current);

            static async Task<int> ReadAsync(System.Threading.Channels.ChannelReader<int> reader) => await reader.ReadAsync();
        });
        Assert.Same(context, SynchronizationContext.Current);
    }

    [Fact]
    public void Scenario_ThatThrows_FailsWithItsSeedAndTheCause()
    {
        SimulationException failure = Assert.Throws<SimulationException>(() => Simulation.Run(17, async world =>
        {
            world.Trace.Add("a last sign of life");
            await world.Delay(TimeSpan.FromSeconds(3));
            throw new FormatException("so it goes");
        }));
        Assert.Equal(17, failure.Seed);
        Assert.Equal(TimeSpan.FromSeconds(3), failure.Elapsed);
        Assert.IsType<FormatException>(failure.InnerException);
        Assert.Contains("KWIK_SEED=17", failure.Message, StringComparison.Ordinal);
        Assert.Contains("so it goes", failure.Message, StringComparison.Ordinal);
        Assert.Contains("0.0000000 a last sign of life", failure.Message, StringComparison.Ordinal);
        Assert.Contains(
            $"-method {typeof(EventLoopTests).FullName}.{nameof(Scenario_ThatThrows_FailsWithItsSeedAndTheCause)}",
            failure.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void TimerCallback_ThatThrows_FailsTheRun()
    {
        SimulationException failure = Assert.Throws<SimulationException>(() => Simulation.Run(1, async world =>
        {
            using ITimer timer = world.Time.CreateTimer(
                _ => throw new FormatException("in a timer"), null, TimeSpan.FromSeconds(1), TimeSpan.Zero);
            await world.Delay(TimeSpan.FromSeconds(2));
        }));
        Assert.IsType<FormatException>(failure.InnerException?.InnerException);
        Assert.Equal(TimeSpan.FromSeconds(1), failure.Elapsed);
    }

    [Fact]
    public void Run_WithNothingLeftToDo_ReportsADeadlock()
    {
        SimulationException failure = Assert.Throws<SimulationException>(
            () => Simulation.Run(3, _ => new TaskCompletionSource().Task));
        Assert.Contains("Deadlock", failure.Message, StringComparison.Ordinal);
        Assert.Contains("Seed 3", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ThatNeverEnds_ReportsTheTimeLimitAndWhatWaits()
    {
        SimulationException failure = Assert.Throws<SimulationException>(() => Simulation.Run(3, async world =>
        {
            while (true)
            {
                await world.Delay(TimeSpan.FromMinutes(1));
            }
        }));
        Assert.Contains("limit of 01:00:00", failure.Message, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromHours(1), failure.Elapsed);
    }

    [Fact]
    public void Run_ThatSpins_ReportsALivelock()
    {
        SimulationException failure = Assert.Throws<SimulationException>(() => Simulation.Run(
            3,
            async _ =>
            {
                while (true)
                {
                    await Task.Yield();
                }
            },
            new SimulationOptions { StepLimit = 1000 }));
        Assert.Contains("Livelock: 1,000 steps", failure.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, Func<SimulatedWorld, Task>> Escapes => new()
    {
        { "ConfigureAwait(false)", async world => await world.Delay(TimeSpan.FromSeconds(1)).ConfigureAwait(false) },
        {
            "Task.Run",
            async _ =>
            {
                using var gate = new ManualResetEventSlim();
                Task wait = AwaitAsync(Task.Run(gate.Wait));
                gate.Set();
                await wait;
            }
        },
        {
            "SemaphoreSlim with a token",
            async world =>
            {
                using var semaphore = new SemaphoreSlim(0);
                using var cancellation = new CancellationTokenSource();
                Task wait = AwaitAsync(semaphore.WaitAsync(cancellation.Token));
                await world.Delay(TimeSpan.FromSeconds(1));
                semaphore.Release();
                await wait;
            }
        },
        {
            "WhenAny over an asynchronous completion source",
            async world =>
            {
                var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Task any = AwaitAsync(Task.WhenAny(gate.Task, new TaskCompletionSource().Task));
                await world.Delay(TimeSpan.FromSeconds(1));
                gate.SetResult();
                await any;
            }
        },
        {
            "an outsider that creates a timer",
            async world =>
            {
                var outsider = new Thread(() => Record.Exception(
                    () => world.Time.CreateTimer(_ => { }, null, TimeSpan.Zero, TimeSpan.Zero)));
                outsider.Start();
                outsider.Join();
                await world.Delay(TimeSpan.FromSeconds(1));
            }
        },
    };

    // Waits from before the task can be complete: an escape shows when it comes back.
    private static async Task AwaitAsync(Task task) => await task;

    [Theory]
    [MemberData(nameof(Escapes), DisableDiscoveryEnumeration = true)]
    public void Continuation_OnAnotherThread_IsReportedAsAnEscape(string how, Func<SimulatedWorld, Task> scenario)
    {
        SimulationException failure = Assert.Throws<SimulationException>(() => Simulation.Run(1, scenario));
        Assert.True(failure.Message.Contains("Escape:", StringComparison.Ordinal), $"{how}: {failure.Message}");
    }

    [Fact]
    public void ReadyTasks_UnderDifferentSeeds_RunInDifferentOrders()
    {
        static string Order(int seed, bool shuffle)
        {
            var order = new List<int>();
            Simulation.Run(
                seed,
                _ => Task.WhenAll(Enumerable.Range(0, 8).Select(async number =>
                {
                    await Task.Yield();
                    order.Add(number);
                })),
                new SimulationOptions { ShuffleReadyTasks = shuffle });
            return string.Join(' ', order);
        }

        Assert.Equal("0 1 2 3 4 5 6 7", Order(5, shuffle: false));
        Assert.True(Enumerable.Range(1, 20).Select(seed => Order(seed, shuffle: true)).Distinct().Count() > 10);
        Assert.Equal(Order(5, shuffle: true), Order(5, shuffle: true));
    }

    [Fact]
    public void Seeds_FollowTheEnvironment()
    {
        Assert.Equal(Enumerable.Range(1, 50), SimulationSeedsAttribute.SeedsFrom(null, null));
        Assert.Equal([1, 2, 3], SimulationSeedsAttribute.SeedsFrom("", "3"));
        Assert.Equal([4711], SimulationSeedsAttribute.SeedsFrom("4711", "3"));
    }

    [Fact]
    public void Trace_KeepsTheNewestAndHashesAll()
    {
        static SimulationTrace Trace(string first) => Simulation.Run(
            1,
            world =>
            {
                world.Trace.Add(first);
                world.Trace.Add("two");
                world.Trace.Add("three");
                return Task.CompletedTask;
            },
            new SimulationOptions { TraceCapacity = 2 });

        Assert.Equal(["0.0000000 two", "0.0000000 three"], Trace("one").Lines());
        Assert.Equal(3, Trace("one").Count);
        Assert.Equal(Trace("one").Hash, Trace("one").Hash);
        Assert.NotEqual(Trace("one").Hash, Trace("eins").Hash);
    }
}

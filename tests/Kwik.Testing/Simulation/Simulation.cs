using System.Globalization;
using System.Text;
using Xunit;

namespace Kwik.Testing;

/// <summary>
/// Runs a scenario, client and servers together, on one thread and on virtual time. One seed always gives the same run.
/// </summary>
/// <remarks>
/// <para>
/// Everything that the scenario starts has to stay on the simulation's thread: it awaits plainly, as docs/adr/0002 asks.
/// Some of the base library does not, and a run that uses it while it has to wait fails with a message that shows where:
/// <c>ConfigureAwait(false)</c>, <c>Task.Run</c>, <c>SemaphoreSlim.WaitAsync</c> with a token or a time,
/// <c>ChannelReader.ReadAllAsync</c>, <c>AsTask</c> on what a channel returns, <c>CancellationTokenSource.CancelAsync</c>, the base class's
/// <c>Stream.CopyToAsync</c> and <c>Stream.ReadExactlyAsync</c>, and <c>Task.WhenAny</c>, <c>Task.WhenAll</c> and
/// <c>Task.WaitAsync</c> over a task that was made with
/// <see cref="TaskCreationOptions.RunContinuationsAsynchronously"/>. Over the tasks of async methods these three are fine.
/// </para>
/// <para>Tests are theories over <see cref="SimulationSeedsAttribute"/>; a failure says how to run its seed alone.</para>
/// </remarks>
public static class Simulation
{
    /// <summary>
    /// Runs <paramref name="scenario"/> to its end on the calling thread and returns what happened.
    /// </summary>
    /// <exception cref="SimulationException">
    /// The scenario threw (see the inner exception), a timer callback threw, nothing could run any more, a limit was
    /// reached, or a continuation left the thread. The message names the seed, the virtual time and what is pending.
    /// </exception>
    public static SimulationTrace Run(int seed, Func<SimulatedWorld, Task> scenario, SimulationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        options ??= new SimulationOptions();
        var loop = new EventLoop(seed, options);
        var world = new SimulatedWorld(seed, options, loop);
        string? problem;
        Exception? cause = null;
        try
        {
            loop.Run(() => scenario(world), out problem);
        }
        catch (Exception exception) when (exception is not SimulationException)
        {
            cause = exception;
            problem = $"{exception.GetType().Name}: {exception.Message}";
        }

        return problem is null
            ? world.Trace
            : throw new SimulationException(Describe(world, loop, problem), seed, world.Time.Elapsed, cause);
    }

    private static string Describe(SimulatedWorld world, EventLoop loop, string problem)
    {
        var text = new StringBuilder()
            .AppendLine(CultureInfo.InvariantCulture, $"Seed {world.Seed} at {world.Time.Elapsed}, step {loop.Steps}: {problem}")
            .AppendLine(CultureInfo.InvariantCulture, $"Replay: KWIK_SEED={world.Seed} {TestCommand()}");
        foreach (string line in world.Describe())
        {
            text.AppendLine(line);
        }

        foreach (TimedEvent timed in loop.Pending().Take(10))
        {
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"Waiting until {TimeSpan.FromTicks(timed.Due)}: {timed.Callback.Method.DeclaringType}.{timed.Callback.Method.Name}");
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"The last of {world.Trace.Count} events:");
        foreach (string line in world.Trace.Tail(30))
        {
            text.Append("  ").AppendLine(line);
        }

        return text.ToString();
    }

    private static string TestCommand() => TestContext.Current is
    { TestMethod.MethodName: { } method, TestClass.TestClassName: { } type, TestAssembly.AssemblyName: { } assembly }
        ? $"dotnet run --project tests/{assembly.Split(',')[0]} -- -method {type}.{method}"
        : "dotnet test";
}

using Kwik.Cli.Staging;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Staging;

/// <summary>Processes that demo and bench start, which are this program once more: here that is the program of the tests.</summary>
public sealed class ChildProcessTests
{
    [Fact]
    public async Task Start_ThatTheSystemRefuses_SaysWhichProgramAndWhy()
    {
        // Longer than an argument may be: 128 KiB on Linux, 32 KiB of all together on Windows.
        Exception e = await Assert.ThrowsAnyAsync<Exception>(() => ChildProcess.StartAsync([new string('x', 200_000)], default).WithinAsync());

        (ExitCode code, string message) = Failure.Describe(e);
        Assert.Equal(ExitCode.Other, code);
        Assert.StartsWith($"'{Environment.ProcessPath}' cannot be started: ", message, StringComparison.Ordinal);
        Assert.InRange(message.Length, 1, 1000);
        if (OperatingSystem.IsLinux())
        {
            Assert.EndsWith(": Argument list too long.", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Ask_OfOneThatHasEnded_SaysSo()
    {
        // It says that it does not understand, and ends.
        await using ChildProcess child = await ChildProcess.StartAsync(["--nonsense"], default).WithinAsync();

        Exception e = await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            while (true)
            {
                await child.AskAsync("", default).WithinAsync();
            }
        });

        (ExitCode code, string message) = Failure.Describe(e);
        Assert.Equal(ExitCode.Other, code);
        Assert.StartsWith("A process ended.", message, StringComparison.Ordinal);
    }
}

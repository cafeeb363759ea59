using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Kwik.Cli.Output;
using Kwik.Data;

namespace Kwik.Cli.Staging;

/// <summary>A server in a process of its own.</summary>
internal sealed class ServerProcess : ChildProcess
{
    private ServerProcess(Process process, ServeJson ready)
        : base(process) => (EndPoint, Pin) = (IPEndPoint.Parse(ready.Address), KeyHash.Parse(ready.Pin));

    /// <summary>Where it listens.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>The key of its certificate.</summary>
    public KeyHash Pin { get; }

    /// <summary>Starts a command whose first line is that of <c>serve --json</c>.</summary>
    /// <exception cref="ChildProcessException">It cannot be started, ended instead, or does neither in a minute.</exception>
    public static new Task<ServerProcess> StartAsync(IEnumerable<string> arguments, CancellationToken cancellationToken) => StartAsync(
        arguments,
        (process, line) => new ServerProcess(process, JsonSerializer.Deserialize(line, JsonObjects.Default.ServeJson)!),
        cancellationToken);
}
